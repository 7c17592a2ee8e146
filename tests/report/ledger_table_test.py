"""Tests of how ledgers are laid out."""

import numpy as np
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.generation import ledger
from thickets.generation.ledger import Cost, Ledger
from thickets.models import families
from thickets.report import ledger_table


class LedgerTableTest(parameterized.TestCase):
  def test_a_row_has_both_counts_and_their_ratio(self):
    config = families.parse_config(cases.CASES["qwen2"])
    cost = ledger.count_responses(
      config, np.array([6, 4]), np.full((700, 2), 5)
    )
    rows = [
      Ledger("base", 0, Cost(), Cost(), cost, 1400),
      Ledger("vote", 1, cost, Cost(), cost, 2),
    ]
    timing = {"total_s": 61.0, "peak_memory_bytes": {"host": 1_500_000_000}}
    text = ledger_table.format_ledgers([r.to_json() for r in rows], timing)
    header, base, vote, note, used = text.splitlines()
    self.assertEqual(header.split()[-1], "FLOPs/answer")
    self.assertEqual(
      base.split(), ["base", *"–" * 7, "1", f"{cost.flops / 1400:.3g}"]
    )
    self.assertEqual(
      vote.split(),
      [
        *("vote", "1", "1,400", "14,000", f"{cost.flops:.3g}"),
        *(f"{cost.paper_flops:.3g}", f"{cost.flops / cost.paper_flops:.2f}"),
        *("–", "700", f"{cost.flops / 2:.3g}"),
      ],
    )
    self.assertIn("formula", note)
    self.assertEqual(
      used, "This call took 1m01s, and held at most 1.50 GB of the host."
    )
