"""What would lower a runner's noise, worded."""

from __future__ import annotations

from velro_gate import units
from velro_gate.model.selftest import (
    BlocksDoubted,
    ControlVaries,
    FiguresMissing,
    GeneratorBusy,
    HostTakes,
    NoiseInside,
    SelftestAdvice,
)
from velro_gate.report.sentences.kinds.trust import trust_words
from velro_gate.report.text.words import listed, subject


def advice_words(advice: SelftestAdvice | str) -> str:
    """One piece of advice."""
    match advice:
        case str():
            return advice
        case BlocksDoubted():
            said = trust_words(advice.because)
            return f"{said.sentence}. {said.advice}"
        case FiguresMissing():
            names = listed([subject(one.metric, one.step) for one in advice.figures])
            return f"not every block holds {names}: see the service's output and the log"
        case HostTakes():
            return (
                f"the host takes {units.format_share(advice.share)} of this machine's CPU time: use a dedicated machine, or "
                "one whose cores are not shared"
            )
        case GeneratorBusy():
            share = units.format_share(advice.share)
            return f"the generator uses {share} of its core: give it one more core, or lower the rate"
        case ControlVaries():
            return (
                f"the control endpoint, which no build can change, varies by {units.format_share(advice.spread)}: end other "
                "load on this machine, fix the CPU's frequency (governor 'performance'), pin service and gate to cores"
            )
        case NoiseInside(longer=True):
            return "longer blocks (--block) lower the noise here: most of it comes from inside the blocks"
        case NoiseInside():
            return "more pairs (--pairs) lower the noise here, longer blocks do not: it comes from each start and its moment"
    return "a duet sees more than stored baselines here: blocks close in time share much of the runner's noise"
