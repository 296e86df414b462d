"""What every task must keep: a contract that each task's tests run on their own rows."""

from collections.abc import Mapping

import numpy as np
import torch

from attune.training.communicator import SingleProcess
from attune.training.loop import Loop
from attune.training.reader import Rows
from attune.training.task import Task, take_batch
from training.test_loop import settings

CPU = torch.device("cpu")


def loop_of(task: Task, **changed: object) -> Loop:
    return Loop(task, settings(**changed), SingleProcess(), CPU)


def gradients(task: Task, rows: Rows, parts: list[np.ndarray]) -> tuple[dict[str, torch.Tensor], float]:
    """Gradients and mean loss over several ranks' batches, as the loop forms them: summed, over the summed weight."""
    task.network.zero_grad()
    total = weight = 0.0
    for part in parts:
        loss = task.loss(take_batch(rows, part, task.network.pad_id, CPU), SingleProcess())
        if loss.objective is not None:
            loss.objective.backward()
        total, weight = total + loss.total, weight + loss.weight
    found = {n: p.grad / weight for n, p in task.network.named_parameters() if p.grad is not None}
    task.network.zero_grad()
    return found, total / weight


def check_ranks_agree(task: Task, rows: Rows) -> None:
    """One rank with all rows, two with unequal shares and a third without rows: the same gradients and loss."""
    everything = np.arange(len(rows))
    third = len(rows) // 3
    task.network.eval()
    together, mean = gradients(task, rows, [everything])
    apart, same = gradients(task, rows, [everything[:third], everything[third:], everything[:0]])
    assert mean > 0
    np.testing.assert_allclose(same, mean, rtol=1e-5)
    assert together.keys() == apart.keys()
    assert any(float(value.abs().max()) > 0 for value in together.values())
    for name, value in together.items():
        torch.testing.assert_close(apart[name], value, rtol=1e-4, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}")


def check_nothing_is_no_error(task: Task, rows: Rows) -> None:
    """A rank that has run out of rows takes part in every step, and may have no rows to evaluate."""
    nothing = np.empty(0, np.int64)
    batch = take_batch(rows, nothing, task.network.pad_id, CPU)
    loss = task.loss(batch, SingleProcess())
    assert (loss.objective, loss.total, loss.weight) == (None, 0.0, 0.0)
    some = take_batch(rows, np.arange(3), task.network.pad_id, CPU)
    with torch.inference_mode():
        width = task.outputs(some).shape[1]
        assert task.outputs(batch).shape == (0, width)
    assert loop_of(task).predict(rows.take(nothing)).shape == (0, width)
    found = task.metrics(np.empty((0, width), np.float32), {n: v[:0] for n, v in rows.values.items()})
    assert np.isnan(found[task.chosen_by])


def check_batching_does_not_matter(task: Task, rows: Rows) -> None:
    """Outputs of rows one by one are those of all in batches of like length, in the order of the rows."""
    loop = loop_of(task)
    together = loop.predict(rows)
    one_by_one = np.concatenate([loop.predict(rows.take(np.array([i]))) for i in range(len(rows))])
    np.testing.assert_allclose(together, one_by_one, rtol=2e-5, atol=2e-5)
    assert np.ptp(together, axis=0).max() > 0
    compare(task.metrics(together, rows.values), task.metrics(one_by_one, rows.values))


def check_bfloat16_costs_little(task: Task, rows: Rows) -> None:
    """On hardware with bfloat16 a step runs, and its loss is nearly that of float32."""
    batch = take_batch(rows, np.arange(len(rows)), task.network.pad_id, CPU)
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    losses = []
    for precision in ("float32", "bfloat16"):
        task.network.load_state_dict(before)
        losses.append(loop_of(task, precision=precision).step([batch])[0])
        assert loop_of(task, precision=precision).predict(rows).dtype == np.float32
    task.network.load_state_dict(before)
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.03)


def compare(found: Mapping[str, float], expected: Mapping[str, float]) -> None:
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-4)


def check_contract(task: Task, rows: Rows) -> None:
    """All of the above."""
    check_nothing_is_no_error(task, rows)
    check_batching_does_not_matter(task, rows)
    check_ranks_agree(task, rows)
    check_bfloat16_costs_little(task, rows)
