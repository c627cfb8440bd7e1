"""`python -m rtnb.course`: remake the notebooks, or print what a class costs."""

from rtnb.course.notebooks import main

main()
