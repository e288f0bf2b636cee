"""
`docstore demo`: the whole story on real documents, on a private mongod.

It uses what every user has, the store and the commands; only the traffic that it defends the rows against goes to the
driver directly. It needs the package `upgraders` of the repository, so it runs from a clone.
"""
