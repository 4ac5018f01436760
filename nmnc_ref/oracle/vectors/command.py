"""The command `vectors`: write the pack out, and check an implementation with it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from nmnc_ref.oracle import command_line, files
from nmnc_ref.oracle.command_line import FAILED, OK, Help, UsageError
from nmnc_ref.oracle.page import rendering
from nmnc_ref.oracle.vectors import pack
from nmnc_ref.oracle.vectors.check import MODES, Result, check
from nmnc_ref.oracle.vectors.form import FormError
from nmnc_ref.oracle.vectors.implementation import UnknownOperation, implemented, recorded
from nmnc_ref.oracle.vectors.pack import Case
from nmnc_ref.oracle.vectors.tolerance import PRECISIONS

EPILOG = """\
examples:
  nmnc-ref vectors check --impl my_package.my_port:port
  nmnc-ref vectors check --answers answers --dtype float32 --require all
  nmnc-ref vectors check --impl nmnc_ref.oracle.vectors.adapter:on_numpy
                                                       (the reference itself)

exit status: 0 at least one stage was checked and none failed; 1 a stage
failed, none was checked, or one that is required has no answer; 2 wrong usage,
or malformed files. PORTING.md is the guide."""
WRONG = {"any": {"failed"}, "all": {"failed", "unanswered"}}
"""By what answers are required, the statuses that no stage may have."""


def register(commands: argparse._SubParsersAction) -> None:
    """Add `vectors` and its two commands."""
    vectors = commands.add_parser("vectors", help="golden vectors: write them, check an implementation with them")
    actions = vectors.add_subparsers(required=True)
    write = actions.add_parser(
        "write",
        help="write the pack of golden vectors into a folder",
        epilog="example:\n  nmnc-ref vectors write pack --format npz",
        formatter_class=Help,
    )
    write.add_argument("folder", metavar="DIR", type=Path, help="a folder that is new or empty")
    write.add_argument("--format", choices=FORMS, default="json", help="of the cases (default: json)")
    write.set_defaults(run=_write)
    verify = actions.add_parser(
        "check",
        help="compare an implementation's answers with the pack",
        epilog=EPILOG,
        formatter_class=Help,
    )
    source = verify.add_mutually_exclusive_group(required=True)
    source.add_argument("--answers", metavar="DIR", type=Path, help="files of answers, of the form of the pack")
    source.add_argument("--impl", metavar="MODULE:OBJECT", help="an object with a function for each stage or operation")
    verify.add_argument(
        "--mode",
        choices=MODES,
        help="what stages are computed from: the reference's values (isolated; default for --impl) or the "
        "implementation's own (chained; default for --answers)",
    )
    verify.add_argument("--dtype", choices=PRECISIONS, default="float64", help="precision (default: float64)")
    verify.add_argument(
        "--require",
        choices=WRONG,
        default="any",
        help="which stages there must be answers to: any (default), or all that exist in the precision",
    )
    command_line.add_outputs(verify)
    verify.set_defaults(run=_check)


def _write(options: argparse.Namespace) -> int:
    folder: Path = options.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder}: expected a folder that is new or empty")
        content = FORMS[options.format]()
        for name in sorted(content, key=pack.MANIFEST.__eq__):  # what is not whole has no manifest
            files.write(folder / name, content[name])
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}") from None
    written = f"wrote {len(content)} files to {folder}"
    command_line.console().print(written, markup=False, highlight=False, soft_wrap=True)
    return OK


def _as_json() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(pack.SHIPPED.glob("*.json"))}


def _as_npz() -> dict[str, bytes]:
    manifest = json.loads((pack.SHIPPED / pack.MANIFEST).read_bytes())
    read = pack.read_pack()
    cases = {f"{case.name}.npz": pack.case_npz(case) for case in read.cases}
    return {**cases, pack.MANIFEST: pack.seal(read.version, manifest["generator"], manifest["operations"], cases)}


FORMS = {"json": _as_json, "npz": _as_npz}
"""What makes the files of a pack, by name."""


def _check(options: argparse.Namespace) -> int:
    mode = options.mode or ("chained" if options.answers else "isolated")
    if options.json:
        command_line.expect_writable(options.json)
    if options.report:
        rendering.expect_folder(options.report)
    try:
        read = pack.read_pack()
        if options.answers:
            answer = recorded(pack.read_answers(options.answers, read.cases))
        else:
            answer = implemented(command_line.load(options.impl, "object"))
    except (FormError, UnknownOperation) as error:
        raise UsageError(str(error)) from None
    with command_line.progress("checking", len(read.cases), quiet=options.quiet) as advance:
        results = check(_told(read.cases, advance), answer, precision=options.dtype, mode=mode)
    statuses = {result.status for result in results}
    passed = "passed" in statuses and not statuses & WRONG[options.require]
    _report(results, options, read.version, mode, passed)
    return OK if passed else FAILED


def _told(cases: Iterable[Case], advance: Callable[[], None]) -> Iterator[Case]:
    """Yield cases, and tell when each is done."""
    for case in cases:
        yield case
        advance()


def _report(results: list[Result], options: argparse.Namespace, version: str, mode: str, passed: bool) -> None:
    from nmnc_ref.oracle.vectors import page, report

    report.show(results, command_line.console(), quiet=options.quiet, required=options.require == "all")
    if options.json:
        command_line.write_json(options.json, report.document(results, version, options.dtype, mode))
    if options.report:
        settings = {
            "Implementation": options.impl or f"answers in {options.answers}",
            "Mode": mode,
            "Precision": options.dtype,
            "Answers required": options.require,
            "Pack": version,
        }
        page.write(options.report, results, settings, passed)
