/*
 * which_engine.h - the engine a test program runs its guests on: the interpreter, or what WIDELOAD_TEST_ENGINE names.
 *
 * The JIT translates everything at once here, so that what a test runs is translated code.  Test programs are linked
 * at low addresses, where the JIT needs its vcpu: one in static memory will do.
 */
#ifndef TESTS_WHICH_ENGINE_H
#define TESTS_WHICH_ENGINE_H

#include "engine.h"
#include "vcpu.h"

/* The engine asked for. */
const struct engine *test_engine(void);

/* False and err when this host has not got it: the test is skipped. */
bool test_engine_usable(const struct engine *engine, struct err *err);

/* For main(): true when it has printed that the whole program is skipped. */
bool test_engine_skips(void);

/* As engine->create(); a JIT that would interpret ends the program. */
void *test_engine_create(const struct engine *engine, struct vcpu *v, struct err *err);

#endif
