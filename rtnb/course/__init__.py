"""The course: its notebooks and the checkers of its exercises."""
