"""Which columns can have which labels, when limits have left only some types."""

import msgspec

from agent.core.inputs import PackingInput
from agent.core.packing import pack
from agent.model.constraints import Requirement
from agent.model.kubernetes import Pod
from agent.model.names import ClassName
from tests.build import GIB, NOW, TYPES, node_class, pod, pool

SIZE = "example.com/size"


def question(*pods: Pod, memory_gib: int) -> PackingInput:
    """A pool that requires a label which the small type does not have."""
    small, medium, large = TYPES
    known = tuple(
        msgspec.structs.replace(kind, requirements=(*kind.requirements, Requirement(SIZE, "In", (value,))))
        for kind, value in ((medium, "3"), (large, "4"))
    )
    bigger = pool(requirements=(Requirement(SIZE, "Gt", ("2",)),), limits={"memory": memory_gib * GIB})
    return PackingInput(
        now=NOW,
        pods=pods,
        pools=(bigger,),
        classes=(node_class(),),
        instance_types={ClassName("default"): (small, *known)},
    )


def test_a_type_without_a_required_label_is_not_bought_because_limits_leave_no_other() -> None:
    result = pack(question(pod("one"), memory_gib=7))
    assert result.launches == ()
    assert "limit" in result.refusals[0].reasons[0][1].message


def test_a_type_with_the_label_is_bought_while_limits_allow_it() -> None:
    result = pack(question(pod("one"), memory_gib=8))
    assert [launch.instance_types for launch in result.launches] == [(TYPES[1].name,)]
