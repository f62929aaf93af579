import collections

import numpy as np
import pandas as pd
import pytest

from launch import csv_table, metrics_rows
from tff_gs.encoders import names


def test_every_row_is_in_the_file_at_once(tmp_path):
    path = tmp_path / "t.csv"
    with csv_table.CsvTable(path) as table:
        table.append({"round": 1, "loss": 0.1, "test": ""})
        assert path.read_text() == "round,loss,test\n1,0.1,\n"
        table.append({"round": 2, "loss": float("nan"), "test": 1 / 3})
        read = pd.read_csv(path)
    assert read["round"].tolist() == [1, 2]
    np.testing.assert_array_equal(read["loss"], [0.1, np.nan])
    np.testing.assert_array_equal(read["test"], [np.nan, 1 / 3])


def test_a_table_is_never_continued(tmp_path):
    (tmp_path / "t.csv").write_text("round\n")
    with pytest.raises(FileExistsError):
        csv_table.CsvTable(tmp_path / "t.csv")


def test_rows_are_scalars_with_a_column_for_each_reason():
    refused = np.zeros(len(names.REFUSALS), np.int32)
    refused[0], refused[names.BAD_CHECKSUM] = 5, 2
    round_metrics = collections.OrderedDict(
        round=np.int32(3),
        time=np.float64(1.5),
        refused=refused,
        client_ids=np.array([2, 0]),
        contributed=np.array([7, 9]),
        refusals=np.array([0, names.BAD_CHECKSUM]),
    )
    row = metrics_rows.to_row(round_metrics)
    assert list(row)[:2] == ["round", "time"]
    assert {type(value) for value in row.values()} == {int, float}
    assert row["refused_bad_checksum"] == 2
    assert [name for name in row if name.startswith("refused_")] == [
        f"refused_{name}" for name in names.REFUSALS[1:]
    ]
    assert not {"contributed", "client_ids", "refusals"} & set(row)
    own = {"accuracy": np.float32(0.5), "by_class": np.array([1, 2])}
    with_own = metrics_rows.to_row({**round_metrics, "model_metrics": own})
    assert with_own == {**row, "model_accuracy": 0.5}
    ids, contributed = metrics_rows.contributions(round_metrics)
    assert (ids.tolist(), contributed.tolist()) == ([2, 0], [7, 9])
