"""`Distribution` against `tests/data/cuts.json`, whose cases with penalties it knows nothing of."""

import make_cuts
import numpy as np
import pytest

from workbench.inspection import Distribution

CASES = [case for case in make_cuts.read_cases() if "prompt" not in case]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_kept_and_its_probabilities(case):
    distribution = Distribution.of(make_cuts.logits_of(case))
    kept = distribution.kept(**case["settings"])
    possible = np.isfinite(distribution.logits[:kept])
    assert distribution.ids[:kept][possible].tolist() == case["kept"]
    shares = np.zeros(len(case["logits"]))
    shares[distribution.ids] = distribution.shares(**case["settings"])
    np.testing.assert_allclose(shares[case["kept"]], case["probabilities"], rtol=1e-5, atol=1e-12)
    assert shares.sum() == pytest.approx(sum(case["probabilities"]))
