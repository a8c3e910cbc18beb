"""Rules about where pods are in relation to each other: spread, affinity, anti-affinity, host ports, preferences.

Split by question: ``selectors`` (which pods does a term mean?), ``levels`` (what does a pod ask, with how many of its
preferences?), ``counts`` (who is where?), ``checks`` (may a pod come into a domain?), ``offers`` (in which domains
could nodes be bought?), ``dealing`` (to which domain does each pod go?), ``scene`` (what is there before?).
"""
