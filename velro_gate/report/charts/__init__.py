"""The interactive charts of the HTML report, as data for its script: what is drawn, and what it shows in words."""
