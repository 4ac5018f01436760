"""Two ports that do not use the library pass the pack, and a slip in one is named, with a hint where there is one."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nmnc_ref.__main__ import main
from nmnc_ref.oracle.vectors import pack

pytestmark = pytest.mark.usefixtures("packs_read_once")

GUIDE = (Path(__file__).parents[1] / "PORTING.md").read_text(encoding="utf-8")
PORTS = Path(__file__).parent / "ports"
PYTORCH, JAVASCRIPT = PORTS / "port.py", PORTS / "port.js"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")


def answered(tmp_path: Path, *command: str, dtype: str = "float64") -> dict:
    """Run a port on the pack that the command writes, check its answers, and return the document of the results."""
    given, answers, result = tmp_path / "pack", tmp_path / "answers", tmp_path / "result.json"
    assert main(["vectors", "write", str(given)]) == 0
    subprocess.run([*command, str(given), str(answers), dtype], check=True, timeout=600)
    status = main(["vectors", "check", "--answers", str(answers), "--dtype", dtype, "--json", str(result)])
    document = json.loads(result.read_bytes())
    assert status == (1 if document["counts"]["failed"] else 0)
    return document


def passed_everything(document: dict, dtype: str) -> bool:
    """Tell whether all stages passed but those that exist in the other precision alone."""
    other = {case.name for case in pack.read_pack().cases if case.precision not in ("any", dtype)}
    return all(each["status"] == ("skipped" if each["case"] in other else "passed") for each in document["stages"])


@needs_node
def test_the_port_in_javascript_passes(tmp_path):
    assert passed_everything(answered(tmp_path, "node", str(JAVASCRIPT)), "float64")


@needs_torch
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_port_in_pytorch_passes(dtype, tmp_path):
    assert passed_everything(answered(tmp_path, sys.executable, str(PYTORCH), dtype=dtype), dtype)


OCTAVE = """
mkdir(argv(){2});
for file = glob(fullfile(argv(){1}, '*.json'))'
  [~, name] = fileparts(file{1});
  if any(strcmp(name, {'manifest', 'case.schema'})), continue, end
  texts = {};
  for stage = jsondecode(fileread(file{1})).stages'
    text = written(read_array(stage.value), stage.value.shape, stage.value.dtype);
    texts{end + 1} = sprintf('{"name": "%s", "value": %s}', stage.name, text);
  end
  answers = fopen(fullfile(argv(){2}, [name '.json']), 'w');
  fprintf(answers, '{"stages": [%s]}', strjoin(texts, ', '));
  fclose(answers);
end
"""


@pytest.mark.skipif(shutil.which("octave-cli") is None, reason="Octave is not installed")
def test_the_snippet_for_octave_reads_and_writes_every_array(tmp_path):
    (snippet,) = re.findall(r"```matlab\n(.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "port.m").write_text(f"1;\n{snippet}{OCTAVE}", encoding="utf-8")
    stages = answered(tmp_path, "octave-cli", "--quiet", str(tmp_path / "port.m"))["stages"]
    assert all(each["status"] != "unanswered" for each in stages)
    failed = [each for each in stages if each["status"] == "failed"]
    assert all(each["operation"] == "uniform" and each["ulps"] == 1 for each in failed), "read with 17 digits"


@pytest.mark.parametrize("port", [PYTORCH, JAVASCRIPT], ids=["pytorch", "javascript"])
def test_ports_are_independent(port):
    assert "nmnc_ref" not in port.read_text(encoding="utf-8")


SLIPS = {
    "weight gradient transposed": (
        "weight_gradient: ({ delta, activity }) => product(transpose(delta), activity)",
        "weight_gradient: ({ delta, activity }) => product(transpose(activity), delta)",
        "weight_gradient",
        "transposed",
    ),
    "sum over draws": (
        "product(transpose(response), noise), 1 / noise.shape[0])",
        "product(transpose(response), noise), 1)",
        "correlation",
        "sum for mean",
    ),
    "whole difference of a pair": ("(a, b) => (a - b) / 2", "(a, b) => a - b", "antithetic_response", "factor 2"),
    "error of the other sign": ("guess, target, (a, b) => a - b)", "guess, target, (a, b) => b - a)", "error", "sign"),
    "error summed over the batch": ("a - b), 1 / output.shape[0])", "a - b), 1)", "error", "sum for mean"),
    "no division by σ²": (
        "correlation: ({ response, noise, sigma }) => times(perSample(response, noise, correlate), 1 / sigma ** 2)",
        "correlation: ({ response, noise, sigma }) => perSample(response, noise, correlate)",
        "correlation",
        "missing 1/σ²",
    ),
    "division by σ": (
        "correlation: ({ response, noise, sigma }) => times(perSample(response, noise, correlate), 1 / sigma ** 2)",
        "correlation: ({ response, noise, sigma }) => times(perSample(response, noise, correlate), 1 / sigma)",
        "correlation",
        "missing 1/σ",
    ),
    "σ left out": ("times(product(z, transpose(U)), sigma)", "product(z, transpose(U))", "manifold_noise", "missing σ"),
    "mean always removed": (
        "centring === 'uncentred' ? activity",
        "centring === '' ? activity",
        "spectrum",
        "centred whatever is asked",
    ),
    "one side of the pair": (
        "antithetic_response: (inputs) => antithetic(",
        "antithetic_response: (inputs) => oneSided(",
        "antithetic_response",
        "one-sided for antithetic",
    ),
    "no non-linearity": (
        "activity: ({ preactivation, activation }) => map(preactivation, PHI[activation])",
        "activity: ({ preactivation }) => preactivation",
        "activity",
        "pre- for post-activation",
    ),
    "slope of the activity": (
        "=> map(preactivation, SLOPE[activation])",
        "=> map(map(preactivation, PHI[activation]), SLOPE[activation])",
        "slope",
        "post- for pre-activation",
    ),
    "no projector": ("product(J, projector(U))", "J", "projected_jacobian", "projector left out"),
    "decay left out": (" + decay * parameter.data[i]", "", "velocity", None),
    "rotation of another cipher": ("[13, 15, 26, 6]", "[13, 15, 26, 7]", "bits", None),
    "rate for its complement": (
        "(1 - rate) * b + rate * j",
        "rate * b + (1 - rate) * j",
        "running_average",
        "η for 1 − η",
    ),
    "gate left out": (
        "delta: ({ signal, feedback, slope }) => gated(delivered(signal, feedback), slope)",
        "delta: ({ signal, feedback }) => delivered(signal, feedback)",
        "delta",
        None,
    ),
    "kernel flipped": (
        "stride + (k % kernel)",
        "stride + kernel - 1 - (k % kernel)",
        "convolution_preactivation",
        None,
    ),
    "feedback not averaged": (
        "feedback[l - 1] = average(feedback[l - 1], estimate, rate)",
        "feedback[l - 1] = estimate",
        "training_state",
        None,
    ),
}


@needs_node
@pytest.mark.parametrize(("right", "wrong", "operation", "hint"), SLIPS.values(), ids=SLIPS)
def test_a_slip_in_a_port_is_named(right, wrong, operation, hint, tmp_path):
    source = JAVASCRIPT.read_text(encoding="utf-8")
    assert source.count(right) == 1
    port = tmp_path / "port.js"
    port.write_text(source.replace(right, wrong), encoding="utf-8")
    failed = [each for each in answered(tmp_path, "node", str(port))["stages"] if each["status"] == "failed"]
    assert failed[0]["operation"] == operation
    assert failed[0]["hints"] == ([hint] if hint else [])
