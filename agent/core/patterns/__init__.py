"""Nodes by column generation: which contents of nodes are worth having, and how often each.

Steering fills one node after the other and never looks back. Where few pods share a node, what is left over in each
adds up, and it pays to choose among contents as a whole: that is the cutting stock problem, and its linear programme
is solved as P. C. Gilmore and R. E. Gomory did (A linear programming approach to the cutting-stock problem, 1961). A
content is called a pattern.
"""
