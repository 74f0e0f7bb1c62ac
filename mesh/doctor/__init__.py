"""`mesh doctor`: what may keep a mesh from working, looked at one by one, each with what to do about it.

`plane` judges what a control plane answers, `machine` what the machine is like. Both are pure in what was found out
(`facts`), which is where files, sockets and programs are asked.
"""
