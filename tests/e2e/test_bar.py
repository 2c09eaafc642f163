"""What must never happen, and the tests that would see it; each test named here exists.

HTTP surface::

    bound to loopback only              test_it_listens_on_both_loopback_addresses_and_nowhere_else
                                        test_nothing_is_bound_beyond_loopback
    Host matrix, every route            test_a_stranger_reaches_no_route_and_changes_nothing
                                        test_strangers_reach_no_route_by_any_method
                                        test_every_other_host_is_refused
                                        test_an_absolute_target_is_judged_by_its_own_authority
    Origin matrix, every route          test_a_stranger_reaches_no_route_and_changes_nothing
                                        test_another_origin_reads_and_does_nothing
                                        test_every_other_origin_is_refused
                                        test_a_page_of_another_origin_reads_and_does_nothing
    the real client passes              test_every_call_may_be_made_from_each_of_the_page_s_origins
                                        test_a_page_of_an_allowed_origin_uses_everything
    simple requests refused             test_what_needs_no_preflight_is_refused_on_every_writing_route
                                        test_what_a_form_can_send_is_refused_on_every_writing_route
    hijack refused before 101           test_no_strangers_socket_is_opened_on_any_route
                                        test_a_hijacked_handshake_is_refused_before_the_upgrade
    traversal, planted canaries         test_no_text_in_any_place_leads_out_of_the_folder
                                        test_no_path_leads_out_of_the_folder
                                        test_what_would_be_a_way_out_elsewhere_is_a_name_here
    links, FIFOs, devices, sockets      test_what_is_no_file_is_neither_read_nor_written_nor_waited_for
                                        test_links_and_pipes_are_in_no_list
                                        test_a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere
    hostile names                       test_every_name_that_a_disk_can_hold_is_listed_and_read_by_its_id
                                        test_a_name_that_is_not_utf8_is_listed_and_read_by_its_id
    body limits                         test_an_announced_length_over_the_cap_is_refused_unread
                                        test_a_chunked_body_over_the_cap_is_refused
                                        test_more_than_64_mib_is_refused_before_it_is_sent
                                        test_a_body_is_asked_for_only_from_who_may_send_it
    JSON bombs                          test_a_json_bomb_is_refused_on_every_route_with_a_body
    no request at all                   test_garbage_is_refused_in_our_own_words
                                        test_what_is_no_request_is_refused_in_our_own_words
    4 x 5 MB uploads                    test_uploads_travel_in_the_chat
    query bombs                         test_no_query_brings_it_down
    planted secrets                     test_no_key_is_in_an_answer_a_log_or_a_file_that_others_can_read
                                        test_what_is_kept_is_for_the_person_alone_whatever_the_umask
    addresses of services               test_what_must_not_be_asked_is_refused_without_repeating_it
                                        test_no_translated_form_of_a_refused_address_passes
                                        test_only_addresses_that_were_judged_are_connected_to
                                        test_an_address_that_cannot_be_is_a_failed_test
                                        test_the_daemon_as_its_own_service_does_no_harm
    strict headers on every answer      test_every_answer_has_security_headers
                                        test_the_daemon_s_own_pages_work_under_their_policy
    zero 5xx from generated requests    test_generated_requests_find_no_5xx_and_no_violation

Files::

    a reader never sees half a file     test_a_reader_never_sees_half_a_file
    kill while saving                   test_a_kill_while_saving_tears_nothing_and_loses_nothing_reported
                                        test_a_kill_half_way_keeps_what_was_given
    disk full                           test_a_full_disk_keeps_the_old_content_and_leaves_nothing_behind
    EIO, EACCES, read-only              test_what_the_disk_says_becomes_a_code
    50 parallel saves                   test_fifty_parallel_saves_are_each_whole_and_all_kept
    If-Match                            test_a_stale_etag_is_a_conflict_that_writes_nothing
                                        test_of_parallel_saves_of_one_state_only_one_wins
    the client gone in mid-save         test_a_save_goes_on_when_its_client_leaves

Index::

    editors' ways of saving             test_an_editor_that_saves_by_rename_makes_the_file_itself_told
    directories in, around, out         test_directories_moved_in_around_and_out_are_told
    bursts, overflow                    test_a_storm_arrives_whole_or_as_a_call_to_scan_everything
                                        test_a_lost_queue_means_scanning_everything
    the root away and back              test_a_vanished_folder_forgets_nothing_and_comes_back
                                        test_a_replaced_root_is_watched_anew
    out of watches: polling             test_without_native_watching_the_tree_is_polled
    caches damaged: same answers        test_damaged_caches_cost_time_only
    state.db garbled                    test_a_damaged_file_is_moved_aside_and_the_newest_backup_takes_its_place
    huge and binary files               test_a_big_file_is_read_whole
                                        test_missing_is_404_and_binary_415

Streams::

    headers first                       test_headers_come_before_any_upstream_answers
    stalled readers, memory flat        test_a_stalled_follower_holds_the_stream_and_memory_stays_flat
    leaving closes the upstream         test_a_page_that_is_closed_closes_the_upstream
    stop: silent, flooding, twice       test_a_stop_closes_a_silent_upstream_within_a_second
                                        test_a_stop_reaches_a_flooding_upstream
                                        test_stopping_twice_ends_it_once
                                        test_stopping_what_does_not_run_is_200
    one terminator under any faults     test_under_any_faults_stops_and_leavings_there_is_exactly_one_end_and_it_is_last
    WebSocket flow control              test_a_client_that_does_not_read_is_held_back
                                        test_a_message_without_end_costs_only_its_own_socket
    the loop never blocked              test_with_a_hung_upstream_everything_answers_at_once

Upstream::

    every fault, both dialects          test_a_refusal_is_an_error_without_addresses
                                        test_text_before_a_fault_is_kept
                                        test_silence_is_a_timeout_with_the_text_kept
                                        test_an_endless_list_of_models_is_left_unread
                                        test_an_answer_that_drips_is_given_up
                                        test_endless_headers_are_given_up
                                        test_a_compressed_bomb_is_not_blown_up
    down and back                       test_a_service_that_went_down_is_used_again_when_it_is_back
    a dying model keeps the text        test_a_dying_model_keeps_everything_whole
    hostile model text does nothing     test_a_models_text_triggers_nothing
                                        test_hostile_words_of_a_model_are_only_words

Life cycle::

    SIGTERM with 50 live streams        test_fifty_live_streams_and_a_socket_do_not_hold_the_end
    two daemons: one gives way          test_a_second_one_on_the_same_home_gives_way
    a kill loses nothing                test_a_kill_between_the_index_commit_and_the_catalogue_loses_nothing
                                        test_what_changed_while_it_was_away_is_known
"""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DEFINED = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
ROW = re.compile(r"^ {4}(.{0,35}?) +(test_\w+)$", re.MULTILINE)


def rows() -> list[tuple[str, str]]:
    """What must never happen (empty: as in the row above) and the test that would see it."""
    return ROW.findall(__doc__ or "")


def test_every_test_that_is_named_here_exists() -> None:
    defined = {
        name for path in TESTS.rglob("test_*.py") for name in DEFINED.findall(path.read_text())
    }
    assert {test for _, test in rows()} - defined == set()
    lines = [line for line in (__doc__ or "").splitlines() if line.startswith("    ")]
    assert len(rows()) == len(lines), "a line that is no row is checked by nobody"


def test_every_test_of_what_is_let_in_has_its_place_here() -> None:
    named = {test for _, test in rows()}
    for module in ("test_surface", "test_hostile_files", "test_secrets"):
        defined = DEFINED.findall((TESTS / "e2e" / f"{module}.py").read_text())
        assert set(defined) - named == set(), module
