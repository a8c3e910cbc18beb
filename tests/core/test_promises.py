"""What was bought for a pod serves it: also when others come to room that is there before the new node has come."""


from agent.model import names
from tests.core.neighbours import ZONE_B, app, planned, refused, spread, term

HOST = names.HOSTNAME


def test_a_domain_that_a_spread_does_not_count_is_none_after_others_looked_at_it() -> None:
    """Two that must be on one node are weighed for a zone that the other's spread knows nothing of."""
    together = app(2, "together", cpu="1500m", labels={"app": "web"}, affinity=(term(HOST),))
    here = {names.ZONE: str(ZONE_B)}
    only = app(3, "only", labels={"app": "web"}, node_selector=here, spread=(spread(),))
    assert refused(planned(*together, *only)) == []
