"""What is mutated, in pieces that take under an hour on two cores, and which tests must notice.

Only what decides, holds or says trust: a mutation of a drawing or a benchmark tells nothing. Read next: `__main__.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rust:
    """Crates whose own tests must notice; with `files`, only what is in these of `packages`."""

    packages: tuple[str, ...]
    files: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Files of `packages` that are a piece of their own."""
    tests: tuple[str, ...] = ("--tests",)
    """Which of the tests are asked, in cargo's words. There are none in documentation, which would be built each time."""
    judges: tuple[str, ...] = ()
    """Other crates, whose tests are asked of what its own did not notice."""
    judge_tests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Python:
    """Modules by a pattern of their paths below `python/everyhop`. `tests` are asked in this order: what knows it best comes
    first, and what takes long is left out where something quicker would notice the same."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()
    """Modules of `modules` that are a piece of their own."""


CASES = "tests/refusals/test_cases.py"
BESIDE = "tests/refusals/test_beside_others.py"

# Of the changes of each field those of one large plan: the random ones find the same, and cost a minute for each survivor.
FIELDS = ("one_change_of_a_field_is_told_if_it_matters_and_silent_if_not", "renaming_and_reordering_are_silent")

# Those of advice that are not told by thousands of random requirements.
ADVISED = (
    "data_of_a_major_incident_is_never_advised_into_plaintext_on_a_network",
    "services_get_the_pattern_that_the_field_would_choose",
    "what_advise_writes_is_what_the_requirement_needs",
)

# The engine's connections on a clock of the test's own, as `make seeded` runs them.
PLAYBOOK = ("--features=everyhop-engine/fuzzing", "--lib", "--test=core")

# Half of a crate each, whose other half is a piece of its own: what is new in the crate is in that.
TABLE = ("crates/decide/src/table.rs",)
MATERIAL = tuple(f"crates/running/src/{it}.rs" for it in ("build", "hops", "judge", "judged", "material"))

# Those of what is proven behind the edge, and of what is done with requests; the other rules, and a new one, are of who is reached and how.
OF_HOPS = tuple(
    f"compile/rules_{it}.py"
    for it in ("acceptance", "acme", "hops", "identities", "key_servers", "lists", "pkcs11", "proof", "side")
)
OF_REQUESTS = tuple(
    f"compile/rules_{it}.py"
    for it in (
        *("answers", "authorizers", "basic", "collectors", "cors", "edits", "eject", "health", "limits", "log"),
        *("most", "onward", "pages", "retries", "spread", "stores", "tokens", "upgrades", "waf", "waf_fit"),
    )
)

PIECES: dict[str, Rust | Python] = {
    "plan": Rust(("everyhop-plan",)),
    "canon": Rust(("everyhop-canon",)),
    "hello": Rust(("everyhop-hello",)),
    "ticket": Rust(("everyhop-ticket",)),
    "signing": Rust(("everyhop-signing",)),
    "keyholder": Rust(("everyhop-keyholder",)),
    "decide": Rust(("everyhop-decide",), without=TABLE),
    "table": Rust(("everyhop-decide",), TABLE),
    "http1": Rust(("everyhop-http1",)),
    "http2": Rust(("everyhop-http2",)),
    "admit": Rust(("everyhop-engine",), ("crates/engine/src/admit/*.rs",), tests=PLAYBOOK),
    "record": Rust(
        ("everyhop-record",),
        ("crates/record/src/refusal.rs", "crates/record/src/facts.rs"),
        judges=("everyhop-engine",),
        judge_tests=PLAYBOOK,
    ),
    "running": Rust(("everyhop-running",), without=MATERIAL, judges=("everyhop-engine",), judge_tests=PLAYBOOK),
    "material": Rust(("everyhop-running",), MATERIAL, judges=("everyhop-engine",), judge_tests=PLAYBOOK),
    "names": Python(
        ("compile/names.py",), ("tests/unit/compile/test_names.py", "tests/unit/compile/test_spiffe.py", CASES)
    ),
    "rules": Python(
        ("compile/rules_*.py",),
        (
            "tests/unit/compile/test_served_rules.py",
            "tests/unit/compile/test_name_rules.py",
            "tests/unit/compile/test_secrets_unsaid.py",
            "tests/unit/compile/test_route_rules.py",
            "tests/unit/compile/test_listener_rules.py",
            "tests/unit/compile/test_site_rules.py",
            "tests/unit/compile/test_each_is_judged.py",
            "tests/unit/compile/test_tickets.py",
            "tests/unit/compile/test_blind.py",
            "tests/unit/compile/test_networks.py",
            "tests/unit/compile/test_marked.py",
            "tests/unit/compile/test_streams.py",
            "tests/unit/compile/test_identity_rules.py",
            "tests/unit/source/test_include.py",
            BESIDE,
            CASES,
        ),
        without=OF_HOPS + OF_REQUESTS,
    ),
    "hops": Python(
        ("compile/places.py", *OF_HOPS),
        (
            "tests/unit/compile/test_proof_rules.py",
            "tests/unit/compile/test_hop_rules.py",
            "tests/unit/compile/test_identity_rules.py",
            "tests/unit/compile/test_acme_rules.py",
            "tests/unit/compile/test_keys_apart.py",
            "tests/unit/compile/test_marked.py",
            "tests/unit/compile/test_acme.py",
            "tests/unit/compile/test_lists.py",
            BESIDE,
            CASES,
        ),
    ),
    "requests": Python(
        OF_REQUESTS,
        (
            "tests/unit/compile/test_request_rules.py",
            "tests/unit/compile/test_marked_words.py",
            "tests/unit/compile/test_any_word.py",
            "tests/unit/compile/test_answer_rules.py",
            "tests/unit/compile/test_each_is_judged.py",
            "tests/unit/compile/test_route_rules.py",
            "tests/unit/compile/test_hop_rules.py",
            "tests/unit/compile/test_health.py",
            "tests/unit/compile/test_log.py",
            "tests/unit/compile/test_pages.py",
            "tests/unit/compile/test_targets.py",
            "tests/unit/compile/test_marked.py",
            "tests/unit/compile/test_waf_rules.py",
            "tests/unit/compile/test_waf_fit.py",
            BESIDE,
            CASES,
        ),
    ),
    "compile": Python(
        tuple(f"compile/{it}.py" for it in ("compiler", "compiled", "material", "build", "files", "lists")),
        (
            "tests/unit/compile/test_build.py",
            "tests/unit/compile/test_files.py",
            "tests/unit/compile/test_readings.py",
            "tests/unit/compile/test_tickets.py",
            "tests/unit/compile/test_keys_apart.py",
            "tests/unit/compile/test_compile.py",
            "tests/unit/compile/test_material.py",
            "tests/unit/compile/test_acme.py",
            "tests/unit/compile/test_health.py",
            "tests/unit/compile/test_lists.py",
            "tests/unit/compile/test_log.py",
            "tests/unit/compile/test_offered.py",
            "tests/unit/compile/test_pages.py",
            "tests/unit/compile/test_ways_in.py",
            "tests/unit/compile/test_each_file_is_read.py",
            "tests/unit/compile/test_lives.py",
            "tests/unit/diff/test_passwords.py",
            CASES,
        ),
    ),
    "elsewhere": Python(
        ("compile/elsewhere.py", "remembered.py"),
        ("tests/unit/compile/test_elsewhere.py", "tests/unit/compile/test_remembered.py"),
    ),
    # Who asks an agent is left to wire tests; what is taken of it is `workload`.
    "identity": Python(
        tuple(
            f"identity/{name}.py"
            for name in (
                "certificates",
                "chain",
                "described",
                "keys",
                "mark",
                "pem",
                "published",
                "readings",
                "revocation",
                "tokens",
                "unusable",
                "vouched",
                "workload",
            )
        ),
        (
            "tests/unit/identity/test_certificates.py",
            "tests/unit/identity/test_chains.py",
            "tests/unit/identity/test_described.py",
            "tests/unit/identity/test_published.py",
            "tests/unit/identity/test_vouched.py",
            "tests/unit/identity/test_regular_files.py",
            "tests/unit/identity/test_tokens.py",
            "tests/unit/compile/test_unreadable.py",
            "tests/unit/compile/test_readings.py",
            "tests/unit/identity/test_usable.py",
            "tests/unit/identity/test_workload.py",
            "tests/unit/compile/test_lists.py",
            CASES,
        ),
    ),
    # Who serves over the network is left to wire tests, which are no judges here.
    "authority": Python(
        tuple(
            f"authority/{name}.py"
            for name in (
                "acts",
                "certify",
                "client",
                "enrolment",
                "folder",
                "generation",
                "index",
                "names",
                "policy",
                "request",
                "rotation",
            )
        ),
        (
            "tests/unit/authority/test_enrolment.py",
            "tests/unit/authority/test_acts.py",
            "tests/unit/authority/test_damaged.py",
            "tests/unit/authority/test_names.py",
            "tests/unit/authority/test_policy.py",
            "tests/unit/authority/test_rotation.py",
            "tests/unit/authority/test_request.py",
            "tests/unit/authority/test_kept.py",
            "tests/unit/authority/test_certify.py",
            "tests/unit/authority/test_client.py",
        ),
    ),
    "guard": Python(
        tuple(f"cli/guard_{name}.py" for name in ("check", "config", "enrol", "looks")),
        (
            "tests/unit/cli/test_guard_config.py",
            "tests/unit/cli/test_guard_enrol.py",
            "tests/unit/cli/test_guard_check.py",
        ),
    ),
    "trust": Python(
        ("trust/*.py",),
        (
            "tests/unit/trust/test_kept.py",
            "tests/unit/trust/test_configured.py",
            "tests/unit/trust/test_keys.py",
            "tests/unit/trust/test_asked_of.py",
            "tests/unit/trust/test_trust.py",
            "tests/unit/trust/test_beside.py",
            "tests/unit/trust/test_said.py",
            "tests/unit/compile/test_streams.py",
            "tests/unit/diff/test_tickets.py",
            CASES,
        ),
    ),
    "diff": Python(
        ("diff/*.py",),
        (
            "tests/unit/diff/test_clients.py",
            "tests/unit/diff/test_acceptances.py",
            "tests/unit/diff/test_listeners.py",
            "tests/unit/diff/test_sites.py",
            "tests/unit/diff/test_hops.py",
            "tests/unit/diff/test_whole.py",
            "tests/unit/diff/test_workloads.py",
            "tests/unit/diff/test_keys_at.py",
            "tests/unit/diff/test_tickets.py",
            "tests/unit/diff/test_issuers.py",
            "tests/unit/diff/test_edited.py",
            "tests/unit/diff/test_tokens.py",
            "tests/unit/diff/test_hsts.py",
            "tests/unit/diff/test_own.py",
            "tests/unit/diff/test_proofs.py",
            "tests/unit/diff/test_reached.py",
            "tests/unit/diff/test_shaped.py",
            "tests/unit/diff/test_authorizers.py",
            "tests/unit/diff/test_collectors.py",
            "tests/unit/diff/test_key_servers.py",
            "tests/unit/diff/test_limited.py",
            "tests/unit/diff/test_logged.py",
            "tests/unit/diff/test_inspected.py",
            "tests/unit/diff/test_mirrors.py",
            "tests/unit/diff/test_named.py",
            "tests/unit/diff/test_networks.py",
            "tests/unit/diff/test_passwords.py",
            "tests/unit/diff/test_served_plain.py",
            "tests/unit/diff/test_stores.py",
            "tests/unit/diff/test_gate.py",
            "tests/unit/diff/test_gate_ways.py",
            "tests/unit/diff/test_vouched.py",
            *(f"tests/unit/diff/test_diff.py::test_{name}" for name in FIELDS),
        ),
    ),
    # What tries servers and runs edges is asked by wire tests, which are no judges here: they break nothing that runs in their process.
    "migrate": Python(
        tuple(f"migrate/{name}.py" for name in ("answering", "asked", "edit", "journal", "running")),
        (
            "tests/unit/migrate/test_answering.py",
            "tests/unit/migrate/test_asked.py",
            "tests/unit/migrate/test_journal.py",
            "tests/unit/migrate/test_running.py",
            "tests/unit/migrate/test_steps.py",
            "tests/unit/migrate/test_edit.py",
        ),
    ),
    "grade": Python(
        ("grade/judged.py", "grade/shown.py"), ("tests/unit/grade/test_judged.py", "tests/unit/grade/test_shown.py")
    ),
    "online": Python(("online/caa.py",), ("tests/unit/online/test_caa.py",)),
    "advise": Python(
        ("advise/*.py",),
        (
            "tests/unit/advise/test_advice.py",
            "tests/unit/advise/test_written.py",
            *(f"tests/unit/advise/test_advise.py::test_{name}" for name in ADVISED),
        ),
    ),
    "sentences": Python(
        ("explain/sentences.py", "refusals/finding.py"),
        (
            "tests/unit/refusals/test_findings.py",
            "tests/unit/compile/test_secrets_unsaid.py",
            "tests/unit/explain/test_sentences.py",
            "tests/unit/explain/test_said.py",
            "tests/unit/trust/test_trust.py",
            CASES,
        ),
    ),
}
