"""What held a phase back: rules over the measured series, each with its evidence. A rule without evidence says nothing."""
