"""Cases that hold because of one guard of the engine each: without it the case fails, which a mutant shows."""

from __future__ import annotations

import pytest

from hybrid_sync_cli.stack import binaries
from tests.cases.case import read
from tests.cases.ground import Servers
from tests.cases.play import play


def _holds(name: str, ground: Servers) -> None:
    case = read(name)
    if case.since > (major := binaries.find().major):
        pytest.skip(f"PostgreSQL {major} has not what the case is about")
    assert play(case, ground) == []


def test_two_deferred_references_with_long_names_are_two(ground: Servers) -> None:
    _holds("names/deferred_alike", ground)


def test_an_infinite_interval_passes_whatever_its_fields_are(ground: Servers) -> None:
    _holds("values/infinite_intervals", ground)


def test_a_json_name_that_comes_twice_costs_its_row(ground: Servers) -> None:
    _holds("values/json_numbers", ground)


def test_a_local_time_is_no_moment(ground: Servers) -> None:
    _holds("visible/timestamp_without_zone", ground)


def test_a_range_over_a_local_time_is_refused(ground: Servers) -> None:
    _holds("visible/range_without_zone", ground)


def test_an_empty_mark_needs_a_column_that_may_be_empty(ground: Servers) -> None:
    _holds("catalog/mark_null_not_null", ground)


def test_two_entities_do_not_take_the_same_rows(ground: Servers) -> None:
    _holds("catalog/two_entities_quoted", ground)


def test_no_setting_of_the_target_changes_what_is_written(ground: Servers) -> None:
    _holds("servers/target_styles", ground)


def test_a_table_that_nobody_watches_is_told(ground: Servers) -> None:
    _holds("visible/subselect_unwatched", ground)


def test_a_schema_that_may_not_be_used_is_named_with_its_remedy(ground: Servers) -> None:
    _holds("reach/schema_right_lost", ground)


def test_a_rule_that_cannot_be_computed_is_told(ground: Servers) -> None:
    _holds("catalog/rule_divides_by_zero", ground)


def test_a_percent_sign_in_a_name_is_no_parameter(ground: Servers) -> None:
    _holds("names/percents_and_braces", ground)


def test_an_id_of_a_domain_is_deleted_and_undone(ground: Servers) -> None:
    _holds("keys/domains_of_the_target", ground)


def test_a_table_called_as_an_alias_is_itself(ground: Servers) -> None:
    _holds("names/called_as_an_alias", ground)


def test_what_comes_after_the_deletes_keeps_no_old_reference_without_a_word(ground: Servers) -> None:
    _holds("uniques/freed_by_a_delete_and_referring", ground)


def test_a_column_of_the_target_that_is_made_anew_is_filled(ground: Servers) -> None:
    _holds("visible/target_column_made_anew", ground)


def test_no_session_ends_because_of_one_row(ground: Servers) -> None:
    _holds("servers/exit_on_error", ground)


def test_no_index_leaves_rows_out(ground: Servers) -> None:
    _holds("servers/gin_fuzzy_search_limit", ground)


def test_what_a_trigger_changes_beside_is_told_by_the_same_run(ground: Servers) -> None:
    _holds("reach/trigger_changes_other_entity", ground)


def test_a_row_that_an_undo_brings_back_has_its_number(ground: Servers) -> None:
    _holds("reach/undo_gives_numbers_back", ground)


def test_what_a_trigger_changes_in_an_exception_block_is_told(ground: Servers) -> None:
    _holds("reach/trigger_changes_in_an_exception_block", ground)


def test_what_a_trigger_changes_of_its_own_page_is_told(ground: Servers) -> None:
    _holds("reach/trigger_changes_row_of_its_page", ground)


def test_what_a_trigger_of_a_link_changes_is_told(ground: Servers) -> None:
    _holds("reach/trigger_of_a_link", ground)


def test_a_partition_of_the_target_that_is_exchanged_is_filled(ground: Servers) -> None:
    _holds("visible/target_partition_swapped", ground)


def test_what_a_trigger_of_an_undo_changes_is_told(ground: Servers) -> None:
    _holds("reach/trigger_of_an_undo", ground)


def test_what_a_trigger_of_a_few_keys_changes_is_told(ground: Servers) -> None:
    _holds("reach/trigger_of_a_few_keys", ground)


def test_what_a_trigger_of_a_few_links_changes_is_told(ground: Servers) -> None:
    _holds("reach/trigger_of_few_links", ground)


def test_what_a_trigger_of_a_few_marks_changes_is_told(ground: Servers) -> None:
    _holds("reach/trigger_of_few_marks", ground)


def test_what_a_trigger_of_an_unlink_changes_is_told(ground: Servers) -> None:
    _holds("reach/trigger_of_an_unlink", ground)


def test_a_view_is_read_anew_when_what_it_is_made_of_becomes_another(ground: Servers) -> None:
    _holds("visible/view_of_views", ground)


def test_what_a_trigger_does_not_let_go_back_is_not_called_undone(ground: Servers) -> None:
    _holds("reach/trigger_alters_an_undo", ground)


def test_what_follows_a_value_comes_along_when_it_is_exchanged(ground: Servers) -> None:
    _holds("reach/cascade_follows_a_swap", ground)


def test_what_a_foreign_key_changes_in_a_swap_is_told(ground: Servers) -> None:
    _holds("reach/cascade_of_a_swap", ground)
