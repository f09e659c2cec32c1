"""Movie metadata to a published multi-label genre model: the nouns that the five commands use.

Importing the package runs nothing; each module is one concern (README.md, "What is where").
"""

__version__ = "0.1.0"
