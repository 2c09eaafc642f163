"""What must never happen, and the tests that would see it; each test named here exists.

HTTP surface::

    bound to loopback only              test_it_listens_on_both_loopback_addresses_and_nowhere_else
                                        test_nothing_is_bound_beyond_loopback
    beyond it: a token                  test_beyond_this_machine_it_does_not_start_without_a_strong_one
                                        test_no_route_is_answered_without_it
                                        test_it_answers_to_the_address_it_was_reached_at
                                        test_the_token_and_nothing_else_passes
                                        test_it_is_nowhere_to_be_read
                                        test_a_token_is_never_the_only_subprotocol
    another user of the machine         test_another_user_is_refused_over_http
                                        test_another_user_is_refused_a_socket_and_writes_nothing
                                        test_who_has_hung_up_does_not_pass_as_whoever_has_its_port_now
                                        test_who_reached_loopback_is_on_this_machine_whatever_address_it_has
                                        test_who_has_the_port_of_a_crashed_daemon_is_sent_nothing
                                        test_whoever_has_the_port_is_not_told_the_token
    unix socket 0600                    test_it_is_private_from_its_first_moment
                                        test_another_user_is_refused_even_if_its_mode_lets_them
                                        test_host_and_origin_are_judged_here_too
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
                                        test_a_file_at_the_limit_is_saved_kept_and_restored
    slow heads and bodies               test_half_a_head_is_not_waited_for
                                        test_a_head_that_trickles_is_not_waited_for
                                        test_a_body_that_stops_is_not_waited_for
                                        test_slow_clients_hold_up_nobody_and_leave_nothing
    floods of connections               test_the_longest_idle_makes_room
                                        test_many_of_another_user_hold_no_room
                                        test_connections_leave_files_for_what_is_done_on_them
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
                                        test_requests_that_mean_something_succeed_and_fit_the_document
                                        test_any_body_is_an_object_that_can_be_sent_back_or_is_refused

Files::

    a reader never sees half a file     test_a_reader_never_sees_half_a_file
                                        test_readers_never_see_half_a_file
    kill while saving                   test_a_kill_while_saving_tears_nothing_and_loses_nothing_reported
                                        test_a_kill_half_way_keeps_what_was_given
                                        test_a_kill_at_each_system_call_of_a_change_leaves_old_or_new_whole
                                        test_a_request_flushes_in_order_and_killed_at_any_call_loses_nothing
    disk full                           test_a_full_disk_keeps_the_old_content_and_leaves_nothing_behind
                                        test_a_full_folder_refuses_what_needs_space_and_keeps_what_it_has
                                        test_where_no_version_can_be_kept_nothing_is_overwritten_or_deleted
                                        test_an_upload_that_finds_no_space_is_told_in_the_stream
                                        test_a_full_data_directory_refuses_a_service_and_takes_it_later
                                        test_files_and_suggestions_go_on_while_the_cache_is_full
    EIO, EACCES, read-only              test_what_the_disk_says_becomes_a_code
                                        test_what_the_folder_refuses_is_told_and_undone
                                        test_what_any_file_refuses_the_first_time_tears_nothing
                                        test_a_flush_that_fails_leaves_everything_as_it_was
                                        test_a_folder_without_permission_is_told
                                        test_a_read_only_folder_is_told_and_forgotten
    50 parallel saves                   test_fifty_parallel_saves_are_each_whole_and_all_kept
                                        test_fifty_saves_without_condition_are_all_kept
    If-Match                            test_a_stale_etag_is_a_conflict_that_writes_nothing
                                        test_of_parallel_saves_of_one_state_only_one_wins
                                        test_of_fifty_saves_of_one_state_exactly_one_wins
    an edit of the last moment          test_an_edit_of_the_last_moment_is_a_conflict
                                        test_an_edit_of_the_last_moment_is_not_deleted
                                        test_what_is_written_into_the_replaced_file_until_the_end_is_kept
    the client gone in mid-save         test_a_save_goes_on_when_its_client_leaves
                                        test_a_client_that_leaves_in_mid_save_leaves_old_or_new_whole

Index::

    editors' ways of saving             test_an_editor_that_saves_by_rename_makes_the_file_itself_told
    directories in, around, out         test_directories_moved_in_around_and_out_are_told
    bursts, overflow                    test_a_storm_arrives_whole_or_as_a_call_to_scan_everything
                                        test_a_lost_queue_means_scanning_everything
    10,000 at once, overflow            test_a_burst_of_changes_loses_nothing
    the root away and back              test_a_vanished_folder_forgets_nothing_and_comes_back
                                        test_a_replaced_root_is_watched_anew
                                        test_a_replaced_folder_is_told_and_watched
                                        test_a_missing_folder_is_told_and_waited_for
                                        test_an_unplugged_drive_is_no_emptied_folder
    out of watches: polling             test_without_native_watching_the_tree_is_polled
                                        test_where_the_system_refuses_to_tell_the_folder_is_polled
    a watcher that is deaf or dead      test_a_reader_that_lives_and_hears_nothing_is_replaced
                                        test_a_reader_that_dies_is_replaced
    random operations: equal to disk    test_whatever_is_done_to_the_files_the_daemon_tells_what_is_on_the_disk
    caches damaged: same answers        test_damaged_caches_cost_time_only
                                        test_damaged_caches_change_no_answer
                                        test_caches_taken_away_from_a_running_daemon_are_made_again
    meaning, and without it: words      test_a_file_is_found_by_its_meaning_only_while_the_service_is_there
                                        test_a_kill_in_the_midst_of_embedding_costs_a_request
                                        test_suggestions_are_as_they_were_and_do_not_wait
    vectors damaged: same answers       test_a_damaged_file_of_vectors_costs_time_only
    flipped index files                 test_every_flipped_bit_is_found
                                        test_a_flipped_bit_is_found_while_the_index_is_used
    state.db garbled                    test_a_damaged_file_is_kept_aside_and_the_newest_backup_takes_its_place
                                        test_a_garbled_log_costs_at_most_what_was_in_it
                                        test_a_bad_backup_is_passed_over
                                        test_a_kill_at_any_step_of_a_recovery_costs_nothing
                                        test_a_damaged_database_is_never_a_backup
    state.db from the future            test_a_newer_file_is_refused_and_no_byte_is_changed
                                        test_a_backup_of_a_newer_version_is_not_restored
    huge and binary files               test_a_big_file_is_read_whole
                                        test_missing_is_404_and_binary_415
                                        test_what_cannot_be_read_is_told_and_read_once_it_can_be
    the doctor finds, mends, harms not  test_a_sound_home_has_nothing_wrong_and_looking_changes_nothing
                                        test_the_persons_own_folder_keeps_its_mode
                                        test_what_is_wrong_comes_with_how_to_mend_it
                                        test_while_another_repairs_nothing_is_mended

Streams::

    headers first                       test_headers_come_before_any_upstream_answers
    stalled readers, memory flat        test_a_stalled_follower_holds_the_stream_and_memory_stays_flat
                                        test_stalled_readers_harm_neither_the_others_nor_memory
                                        test_an_answer_that_nobody_takes_is_dropped
    client disconnect storm             test_whoever_leaves_at_whatever_moment_closes_their_upstream
    leaving closes the upstream         test_a_page_that_is_closed_closes_the_upstream
    stop: silent, flooding, twice       test_a_stop_closes_a_silent_upstream_within_a_second
                                        test_a_stop_reaches_a_flooding_upstream
                                        test_stopping_twice_ends_it_once
                                        test_stopping_what_does_not_run_is_200
                                        test_a_stop_ends_each_stream_once_whatever_its_upstream_does
                                        test_a_stop_that_meets_the_natural_end_leaves_one_end
    one terminator under any faults     test_under_any_faults_stops_and_leavings_there_is_exactly_one_end_and_it_is_last
                                        test_whatever_an_upstream_does_there_is_one_end_and_the_right_text
    WebSocket flow control              test_a_client_that_does_not_read_is_held_back
                                        test_a_message_without_end_costs_only_its_own_socket
                                        test_floods_that_are_never_read_are_held_back_and_cut
                                        test_a_flood_that_is_read_late_is_answered_whole_and_in_order
                                        test_pings_that_are_never_read_cost_no_memory_and_nobody_else
                                        test_more_sockets_than_the_bound_are_told_so_and_there_is_room_again
                                        test_whatever_a_frame_is_the_answer_is_right_and_others_are_served
    the loop never blocked              test_with_a_hung_upstream_everything_answers_at_once

Upstream::

    every fault, both dialects          test_a_refusal_is_an_error_without_addresses
                                        test_text_before_a_fault_is_kept
                                        test_silence_is_a_timeout_with_the_text_kept
                                        test_an_endless_list_of_models_is_left_unread
                                        test_an_answer_that_drips_is_given_up
                                        test_endless_headers_are_given_up
                                        test_a_compressed_bomb_is_not_blown_up
                                        test_a_stream_decodes_alike_however_it_is_cut_and_holds_no_more_than_its_limit
                                        test_any_objects_make_an_answer_that_ends
    down and back                       test_a_service_that_went_down_is_used_again_when_it_is_back
                                        test_an_upstream_that_was_down_is_used_at_once_when_it_is_back
    a dying model keeps the text        test_a_dying_model_keeps_everything_whole
                                        test_knowledge_is_kept_whole_whatever_the_model_does_meanwhile
    hostile model text does nothing     test_a_models_text_triggers_nothing
                                        test_hostile_words_of_a_model_are_only_words

Life cycle::

    SIGTERM with 50 live streams        test_fifty_live_streams_and_a_socket_do_not_hold_the_end
                                        test_everything_at_once_ends_in_order_and_in_time
                                        test_a_signal_at_any_moment_of_a_start_leaves_nothing_behind
    two daemons: one gives way          test_a_second_one_on_the_same_home_gives_way
                                        test_of_ten_that_start_at_the_same_instant_one_lives
    a kill loses nothing                test_a_kill_between_the_index_commit_and_the_catalogue_loses_nothing
                                        test_kills_at_any_commit_lose_nothing
                                        test_what_changed_while_it_was_away_is_known
    a kill loses no message             test_a_kill_after_a_message_was_accepted_does_not_lose_it
                                        test_a_damaged_file_costs_no_conversation_that_was_backed_up
    a deleted conversation is nowhere   test_what_is_deleted_is_in_no_file_any_more
                                        test_what_is_deleted_while_the_daemon_goes_on_is_in_no_file_at_once
                                        test_what_is_deleted_is_in_no_byte_of_the_file_its_log_and_the_backups
                                        test_a_deletion_that_was_killed_half_way_is_finished_by_the_next_start
    kill storm: index equals disk       test_a_storm_of_kills_loses_and_tears_nothing
    soak: memory, files, threads flat   test_memory_descriptors_threads_and_tasks_stay_flat
    unit file, exposure <= 3.0          test_systemd_understands_every_line
                                        test_with_the_drop_in_the_exposure_is_low
    first start in odd HOMEs            test_a_first_start_in_a_home_without_anything
                                        test_a_home_of_an_odd_name_is_as_good_as_any
                                        test_a_home_that_cannot_be_written_is_an_error_that_says_what_to_do

Safety of the checks themselves::

    targets in a folder of their own    test_no_check_aims_at_a_place_of_the_system
    a daemon's HOME is there, too       test_a_daemon_of_the_checks_knows_no_other_home
"""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DEFINED = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)
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
