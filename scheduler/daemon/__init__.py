"""The scheduler itself: planner, countdowns, the supervisor of the executors, the recorder."""
