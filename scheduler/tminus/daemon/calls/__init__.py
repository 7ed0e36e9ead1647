"""
Calls: functions that runners call now, for no T.

Background runs, links of chains and `prepare` make calls. A batch does not, because its jobs start together
at T. A call waits until its runner is ready, is sent, and ends with one `CallResult`.

If the runner dies, its start table shows the state of each call. A call that was entered is lost. A call that
was loading may have caused the death; it is reported or tried again. Any other call goes to the next process.
"""
