"""What the library shows to the world. A name that goes from here breaks programs."""

import importlib
import pkgutil

import pytest

import tff_gs
from tests import fresh_python
from tff_gs import _lazy

PACKAGES = {
    "aggregators": """
        ConsensusState SharedCoordinatesState SparseTopKEncodingStage
        SparsifiedMeanFactory SparsifiedMeanState SparsifiedSumFactory
        UnweightedSparsifiedMeanFactory fab_consensus_factory fab_top_k_factory
        fab_top_k_sum_factory fub_top_k_factory fub_top_k_sum_factory
        periodic_k_factory random_k_factory sparse_top_k top_k_factory
        top_k_sum_factory
    """,
    "controllers": """
        AdditiveDescent Amount CONTROLLERS ContinuousBandit Controller Decision Descent
        ElasticityDescent ElasticitySlope Exp3 Feedback FixedIntervalSignDescent FixedK
        LogDescent LogSignDescent Replay ReplayFile Schedule ShrinkingInterval
        SignDescent SignSlope ValueDescent ValueSlope Waiting parse_amount read_sequence
    """,
    "costs": """
        COSTS Computing Cost LinkTime Links NormalisedTime Traffic draw_links
        read_links
    """,
    "distributors": """
        CountRule EnergyShare SparseBroadcastState build_sparse_broadcast_process
    """,
    "encoders": """
        BitmapCode Codec Decoded ERRORS EXACT Encoded Encoder FixedWidthCode
        FloatCode INDEX_CODES IndexChoice IndexCode Indices Int32Code MAX_DIMENSION
        MessageEncoder Plan QuantisedCode REFUSALS RiceCode RicePerTensorCode Sizes
        TernaryCode VALUE_CODES ValueCode Written entropy_bits
    """,
    "exchange": """
        CatchUp ClientState ClientTransformation ClientWork ClipByNorm
        ClipByValue ConsensusExchange Contribution DownlinkMessage Election
        ExchangeOutput Given GivenVector MessageBounds MomentumCorrection
        OptimizerUpdate Outcome PartialParticipation PipelinedExchange Receipts
        Replica RoundConfig ServerUpdate SparseExchange SparseSgd
        SummedConsensusExchange UplinkMessage build_update
    """,
    "learning": """
        Clients ClientsData InitializeOutput LocalUpdates LocalWork
        MinibatchGradient Model Objective PartialParticipation RoundOutput
        ServerState SparsifiedProcess accuracy build_federated_evaluation
        build_objective build_sparsified_fed_avg build_sparsified_fed_sgd
        build_sparsified_process check_client_ids check_data
        clients_from_client_data describe_refusals with_metrics
    """,
    "programs": """
        CheckpointManager ClientIdProcess Population
        ProgramState ProgramStateError Record RecordReleaseManager Release
        ResumableReleaseManager Stop TrainOutput load_model_weights
        save_model_weights train_model
    """,
    "runtime": """
        ClientStore CohortOutput DiskSnapshot DiskStore MemoryStore
        ResidentContext ResidentStore ResidentValue Snapshot SpoolError WorkerError
        WorkerLostError WorkerNotReachedError build_cohort_fn execution_context
        run_round
    """,
    "sparsifiers": """
        FabConsensus FabTopK FubTopK GTopK PeriodicK PipelinedConsensus
        PositionalSums RandomK RankedSums SPARSIFIERS Selection SendAll
        SparseVector Sparsifier UnidirectionalTopK Upload top_k_indices
    """,
}


OF_ALL = ["Configuration", "Registry", "option", "options_of"]


def test_packages():
    assert dir(tff_gs) == sorted([*PACKAGES, *OF_ALL])
    for package in PACKAGES:
        assert getattr(tff_gs, package).__name__ == f"tff_gs.{package}"


@pytest.mark.parametrize("package", PACKAGES)
def test_names(package):
    module = importlib.import_module(f"tff_gs.{package}")
    names = sorted(PACKAGES[package].split())
    # Also when all modules of the package have been imported.
    for name in names:
        home = getattr(module, name)
        assert getattr(home, "__name__", name) == name
    assert dir(module) == module.__all__ == names
    imported = {}
    exec(f"from tff_gs.{package} import *", imported)
    assert set(names) <= set(imported)


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_are_attributes_of_their_package(package):
    module = importlib.import_module(f"tff_gs.{package}")
    for found in pkgutil.iter_modules(module.__path__):
        submodule = getattr(module, found.name)
        assert submodule.__name__ == f"tff_gs.{package}.{found.name}"
        # A public name never hides a module.
        assert found.name not in PACKAGES[package].split()


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_without_a_public_name_begin_with_an_underscore(package):
    module = importlib.import_module(f"tff_gs.{package}")
    homes = {home for home, _ in _lazy._homes(f"tff_gs.{package}").values()}
    for found in pkgutil.iter_modules(module.__path__):
        is_home = f"tff_gs.{package}.{found.name}" in homes
        assert is_home != found.name.startswith("_"), found.name


def test_other_names_are_no_attributes():
    with pytest.raises(AttributeError, match=r"'tff_gs\.costs' has no attribute 'c'"):
        _ = tff_gs.costs.c
    with pytest.raises(ImportError, match="cannot import name 'FabTopK'"):
        exec("from tff_gs.costs import FabTopK")
    assert not hasattr(tff_gs.costs, "__wrapped__")


def test_importing_a_package_imports_no_tensorflow():
    code = "import sys, tff_gs\n"
    code += "".join(f"import tff_gs.{p}; dir(tff_gs.{p})\n" for p in PACKAGES)
    code += "from tff_gs.controllers import CONTROLLERS, Amount\n"
    code += "from tff_gs.costs import COSTS\n"
    code += "from tff_gs.encoders import ERRORS, INDEX_CODES, REFUSALS, VALUE_CODES\n"
    code += "from tff_gs.sparsifiers import FabTopK, SPARSIFIERS\n"
    code += "assert tff_gs.costs.COSTS is COSTS\n"
    code += "print(*[m for m in sys.modules if m.startswith('tensorflow')])"
    assert fresh_python.printed(code).split() == []


def test_a_package_by_its_name_alone():
    code = "import tff_gs.controllers as c; print(c.amount.parse_amount('0.5'))"
    assert fresh_python.printed(code) == "0.5\n"
