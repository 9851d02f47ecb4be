"""The lab: jvpnd and jvpn-client between private network namespaces of one machine, and faults of their links.

Read topology.py first: it draws the lab. tools/lab (cli.py), tools/quickstart (quickstart.py), the scenarios of
tests/e2e (scenario.py) and jvpn-perf (perf/jump) all use the rest. One lab is up at a time; all that is known of it
stands in /run/jvpn-lab, so that any of them can act on a lab that another one brought up.
"""
