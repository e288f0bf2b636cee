"""
`docstore drill`: two releases of one service write the same rows while the version moves up, back and up again.

`play` is what the command line calls. What is compared at the end is what the nodes have written down on disk about
every write that was acknowledged to them, not what docstore says of itself.
"""
