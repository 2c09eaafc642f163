"""The wire, walked as a black box: a real process, a temporary home, a real fake upstream.

Every call is made as the front end makes it (``Page``): preflighted from its origin, with
``Content-Type: application/json`` on GETs too, and every answer, stream and error is checked for
its CORS headers. Each sentence of the contract has its tests, by name; ``test_contract`` fails
when one of them goes, or when a test here has no place in this table or in that of ``test_bar``,
which is about what must never happen.

Section 0, every endpoint::

    every call is preflighted           test_every_call_may_be_made_from_each_of_the_page_s_origins
                                        test_a_preflight_touches_nothing
    look-ups wait for nobody            test_with_a_hung_upstream_everything_answers_at_once
    the origins, and Sec-Fetch-Site     test_every_call_may_be_made_from_each_of_the_page_s_origins
                                        test_the_page_may_name_the_daemon_by_either_address
                                        test_another_origin_reads_and_does_nothing
                                        test_another_host_name_reads_nothing
                                        test_a_page_of_another_origin_reads_and_does_nothing
    errors and streams have CORS        test_wrong_input_is_an_error_that_the_page_can_read
                                        test_a_page_of_an_allowed_origin_uses_everything
    every 2xx has a JSON body           test_every_success_has_a_json_body
    errors are {detail, code}           test_wrong_input_is_an_error_that_the_page_can_read
    missing is 404, wrong 400/422       test_wrong_input_is_an_error_that_the_page_can_read
                                        test_only_json_is_taken
    uploads: 64 MiB there, else tight   test_uploads_travel_in_the_chat
                                        test_more_than_64_mib_is_refused_before_it_is_sent
    page loads never probe              test_what_a_page_load_asks_never_asks_an_upstream

Section 1, services and models::

    the fields of a service             test_a_service_shows_all_that_the_page_needs
    {} when none; a clean slate         test_the_first_start_is_a_clean_slate
    online, configured, error: ...      test_an_unprobed_service_is_configured_and_a_failed_one_says_why
    chosen models shown while offline   test_an_unprobed_service_is_configured_and_a_failed_one_says_why
    the key is a placeholder            test_a_service_shows_all_that_the_page_needs
                                        test_no_file_that_others_can_read_has_the_key
    understood by test and add          test_an_edit_by_delete_and_add_keeps_the_key
                                        test_a_path_at_the_same_place_may_use_the_stored_key
    only for scheme, host and port      test_a_stored_key_goes_nowhere_but_where_it_was_given_for
                                        test_no_service_is_asked_to_redirect_the_key
    ids unique, names shown             test_ids_are_unique_though_names_are_not
                                        test_a_model_may_be_called_anything
    a bare name where unambiguous       test_a_bare_name_counts_where_it_is_unambiguous
    at most one default                 test_ids_are_unique_though_names_are_not
    testing, good                       test_trying_a_good_service_tells_its_models
    testing, bad: fixed phrases         test_trying_a_bad_service_is_a_fixed_phrase
                                        test_nobody_there_is_a_connection_and_silence_a_timeout
                                        test_an_address_that_cannot_be_is_a_failed_test
                                        test_an_unknown_kind_is_told
    testing spends no tokens            test_trying_a_good_service_tells_its_models
    a client that leaves a test         test_leaving_a_trial_drops_its_upstream_call
    add; the same id replaces           test_the_same_id_replaces
    put                                 test_put_changes_a_service
    delete; 404 when unknown            test_a_deleted_service_is_gone_and_an_unknown_one_is_404
    an edit is DELETE, then add         test_an_edit_by_delete_and_add_keeps_the_key
    Ollama without chosen models        test_an_ollama_service_without_chosen_models_offers_all
                                        test_an_ollama_service_offers_only_the_chosen_models
    the default, only if known          test_the_default_is_set_by_id_and_only_if_known
    refresh                             test_an_ollama_service_without_chosen_models_offers_all
    a model's health                    test_each_model_tells_how_it_is
    services survive a restart          test_everything_survives_the_end_of_the_process
    the environment and .env            test_the_environment_may_name_services

Section 2, files and actions::

    a bare list, the whole tree         test_without_a_query_the_whole_tree_is_a_bare_list
    newest use first                    test_the_newest_use_is_first
    1000, and the total in a header     test_of_more_than_1000_files_the_first_1000_are_listed
                                        test_the_list_is_bounded_and_the_total_told
    best first, 10 by default           test_what_is_typed_behind_the_at_sign_finds_the_file
                                        test_a_query_brings_ten_at_most_unless_told
    stable, unique ids                  test_ids_stay
                                        test_a_name_that_is_not_utf8_is_listed_and_read_by_its_id
    labels identify                     test_a_label_is_the_base_name_where_that_identifies
                                        test_a_label_sent_back_with_a_chat_means_its_own_file
                                        test_a_file_called_like_an_id_has_an_id_and_a_label_of_its_own
    srcfoo finds src/foo.py             test_what_is_typed_behind_the_at_sign_finds_the_file
    a change shows by itself            test_a_change_on_the_disk_shows_by_itself
                                        test_what_changed_while_it_was_away_is_known
    content: whole, any extension       test_any_text_file_is_read_whole
                                        test_a_big_file_is_read_whole
    404 missing, 415 binary             test_missing_is_404_and_binary_415
    an id where a path is               test_an_id_or_a_label_is_taken_for_a_path
    a save is on the disk, a version    test_a_save_is_on_the_disk_and_a_version_kept
                                        test_a_binary_file_is_not_overwritten_by_text
                                        test_a_deleted_file_can_be_restored_and_a_renamed_one_found
    If-Match, 409                       test_a_stale_etag_is_a_conflict_that_writes_nothing
    nothing outside the folder          test_no_path_leads_out_of_the_folder
                                        test_what_would_be_a_way_out_elsewhere_is_a_name_here
    the fields of an action             test_an_action_shows_all_that_the_page_needs
    word prefixes of label and tags     test_the_beginning_of_a_word_finds_it
    and/or, yes/no left alone           test_and_or_yes_no_open_no_menu
    execute                             test_an_action_runs_outside_a_chat
                                        test_an_action_that_cannot_be_done_says_so
    stats                               test_the_dashboard_counts
    refresh: index equals disk          test_after_a_refresh_the_index_equals_the_disk
    health, on a clean slate too        test_the_first_start_is_a_clean_slate
                                        test_health_tells_of_watcher_index_and_services
    generate-filename                   test_without_a_model_the_content_names_the_file
                                        test_a_model_names_the_file

Section 3, chat::

    an attachment is a memory file      test_an_attached_memory_file_becomes_context
                                        test_a_file_that_is_not_there_is_told_and_the_rest_answered
                                        test_a_big_file_is_not_cut_in_silence
    with content an upload              test_an_upload_becomes_context_and_stays_out_of_memory
    @name in the text                   test_a_file_named_in_the_text_becomes_context
                                        test_a_file_named_twice_is_sent_once
    model "" or absent: the default     test_an_empty_model_means_the_default
    200 and headers at once             test_headers_come_before_any_upstream_answers
                                        test_headers_come_while_the_upstream_tells_nothing_of_itself
    one data line and a blank one       test_the_wire_is_one_data_line_and_a_blank_one
                                        test_hostile_words_of_a_model_are_only_words
    the order of events                 test_an_answer_is_streamed
                                        test_a_token_is_passed_on_when_it_comes
                                        test_an_unknown_action_is_an_error_and_an_unknown_command_only_text
    exactly one end, last, always       test_a_refusal_is_an_error_without_addresses
                                        test_silence_is_a_timeout_with_the_text_kept
                                        test_an_answer_without_words_is_an_error
                                        test_a_service_that_is_removed_ends_no_stream
    partial content, then error         test_text_before_a_fault_is_kept
    what can be read is an answer       test_what_can_be_understood_is_an_answer
                                        test_strange_writing_is_read
                                        test_a_line_of_300_kb_is_read
    retries before the first byte       test_a_busy_service_is_asked_again
                                        test_a_service_that_is_busy_for_an_hour_is_an_error_at_once
                                        test_a_service_that_went_down_is_used_again_when_it_is_back
    thinking between its tags           test_thinking_in_a_field_stands_between_tags
                                        test_thinking_in_cut_tags_stands_between_tags
                                        test_a_model_that_only_thinks_still_closes_its_tag
                                        test_a_fault_while_thinking_closes_the_tag
    stop, also before the first byte    test_a_stop_closes_a_silent_upstream_within_a_second
                                        test_a_stop_reaches_a_flooding_upstream
                                        test_a_stop_ends_the_wait_for_another_try
                                        test_stopping_twice_ends_it_once
                                        test_stopping_what_does_not_run_is_200
                                        test_stopping_one_leaves_the_others
    a closed page closes the upstream   test_a_page_that_is_closed_closes_the_upstream
    status: live streams                test_what_runs_is_listed
                                        test_streams_do_not_mix
                                        test_a_second_stream_of_one_id_leaves_the_first_alone
    add_knowledge: text                 test_typed_text_is_kept_suggested_and_confirmed
                                        test_the_command_may_be_typed
                                        test_nothing_to_keep_is_an_error_and_keeps_nothing
    uploads, memory files, several      test_text_uploads_and_memory_files_go_together
                                        test_sources_alone_are_enough
    a summary of text and uploads       test_a_long_text_and_each_upload_get_a_summary
                                        test_a_long_source_is_summarised_in_parts_and_kept_whole
    a safe name is kept, else made so   test_a_safe_name_is_kept
                                        test_an_unsafe_name_is_made_safe
    never overwrites                    test_an_existing_file_is_never_overwritten
                                        test_fifty_at_once_under_one_name_are_fifty_files
    nothing is lost half-way            test_a_dying_model_keeps_everything_whole
                                        test_what_was_given_is_kept_when_it_is_ended_half_way
                                        test_a_kill_half_way_keeps_what_was_given
    the summary follows later           test_a_summary_is_added_when_the_service_is_up_again_unless_the_file_was_changed
    suggested at once, confirmed        test_typed_text_is_kept_suggested_and_confirmed
                                        test_without_a_model_everything_is_kept_and_confirmed_plainly
    without a model, from memory        test_without_any_model_memory_answers_with_file_and_line
    a named unknown model: error        test_a_named_model_that_is_unknown_is_an_error
    conversations: all of them          test_a_conversation_goes_on_and_the_page_may_do_all_with_it
                                        test_a_change_of_a_conversation_is_told_to_other_windows
    kept over restarts                  test_a_conversation_goes_on_after_the_end_of_the_process
                                        test_what_was_stopped_by_the_end_of_the_daemon_is_interrupted_with_its_text

Section 7, runs::

    each has an id, and events have     test_a_page_that_is_reloaded_again_and_again_misses_nothing
    followed from anywhere              test_a_page_that_is_reloaded_again_and_again_misses_nothing
                                        test_a_second_window_sees_the_same
    durable, or not                     test_a_durable_answer_is_completed_with_nobody_there
                                        test_the_last_window_that_is_closed_closes_the_upstream
    stopped in every phase              test_a_run_is_stopped_by_its_id
                                        test_a_stop_ends_the_wait_for_how_much_a_model_can_take
    interrupted, with their text        test_what_was_being_made_when_sgoped_ended_is_interrupted_with_its_text
    forgotten, or never kept            test_a_forgotten_run_is_gone
                                        test_none_is_kept_where_none_is_to_be_kept

Section 4, the WebSocket::

    files and actions                   test_files_are_suggested
                                        test_actions_are_suggested
                                        test_contents_are_searched
                                        test_strange_queries_are_only_queries
    in order                            test_answers_come_in_order
    anything else: an error, open       test_garbage_is_answered_and_the_socket_stays_open
                                        test_a_message_without_end_costs_only_its_own_socket
    ids and superseded                  test_an_id_comes_back_and_none_where_none_was_given
                                        test_of_queued_requests_with_ids_only_the_newest_is_computed
    who may connect                     test_a_hijacked_handshake_is_refused_before_the_upgrade
                                        test_a_client_without_an_origin_is_welcome

The process itself, in ``tests/test_daemon.py``::

    SIGTERM with 50 live streams        test_fifty_live_streams_and_a_socket_do_not_hold_the_end
    a second daemon exits 75            test_a_second_one_on_the_same_home_gives_way
    a taken port exits 1, named         test_a_taken_port_is_an_error_that_names_it

Elsewhere: ``base_url`` "" is the official endpoint, which tests never call (``tests/llm``); how
long look-ups take (``scripts/bench``).
"""
