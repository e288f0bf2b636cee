"""
Nodes, the write version, rollouts and knobs.
"""
