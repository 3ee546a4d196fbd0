"""The suites, one file each: `ask` puts its items to a respondent, `scores` makes metrics of the cases, the main first.

Every suite has the same three names: `TITLE`, `ask(items, respondent, progress) -> list[Case]` and
`scores(cases) -> list[Score]`, in which the first score is the one that a verdict goes by.
"""
