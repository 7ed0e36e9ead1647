"""Which instants a schedule has. Others ask `fire_times`; APScheduler is driven by `triggers`; `dst` explains a transition."""
