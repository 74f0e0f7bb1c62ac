"""A mesh for somebody else's compose file: pure transformations of compose documents, plain data in and out.

document → services, each looked at (`survey`: what it speaks, and whether it can join) → `inject`, or back: `eject`.
"""
