EXTENSION = featurestore
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" featurestore.control)

# The install script is its parts in this order: later ones use what earlier ones define
SQL_PARTS = catalog time_windows windows items online rules stream write capture staging rotation history schedule publish merge apply features materialize fill apply_windows synchronous run external due worker alter preview resolve spec lookup training_sources training freshness views lineage stats serve_log parity

MODULE_big = featurestore
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql
DATA = $(wildcard sql/*--*--*.sql)

# Regression tests and isolation specs share the top-level expected/
REGRESS = $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --outputdir=. --load-extension=$(EXTENSION)
ISOLATION = $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=. --load-extension=$(EXTENSION)

ifneq ($(filter $(REGRESS),$(ISOLATION)),)
$(error regression tests and isolation specs of one name: $(filter $(REGRESS),$(ISOLATION)))
endif

# pg_regress would run the part of the install script instead
ifneq ($(filter $(REGRESS),$(SQL_PARTS)),)
$(error regression tests with the name of a part in sql/: $(filter $(REGRESS),$(SQL_PARTS)))
endif

EXTRA_CLEAN = test/output

# For compilers stricter than the ones tested: make WERROR=
WERROR = -Werror

PG_CPPFLAGS = -I$(srcdir)/src -DFEATURESTORE_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -Wall -Wextra $(WERROR) -Wno-declaration-after-statement \
	-Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
# A server built by gcc hands clang options and attributes that clang does not know, and its
# macros cast the type of walkers as core does
PG_CFLAGS += $(if $(findstring clang,$(CC)),-Wno-unknown-warning-option \
	-Wno-ignored-optimization-argument -Wno-ignored-attributes -Wno-cast-function-type-strict)

# The newest server that has its headers, else whatever PATH has.  There may be none yet:
# test, demo and bench install one.
ifndef PG_CONFIG
PG_CONFIG := $(shell for p in $$(ls /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -rV) pg_config; do \
	test -f "$$($$p --includedir-server 2>/dev/null)/postgres.h" && echo $$p && break; done)
endif
ifneq ($(PG_CONFIG),)
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
else
all install uninstall installcheck clean:
	@echo "no pg_config with server headers found: run test/setup build, or say make PG_CONFIG=..." >&2; exit 1
endif

.DELETE_ON_ERROR:

$(DATA_built): $(SQL_PARTS:%=sql/%.sql) Makefile
	{ printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; \
	for part in $(filter %.sql,$^); do echo; cat $$part || exit; done; } > $@

$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h src/*/*.h)

# test/setup installs what is missing; test/cluster runs the rest on a server of its own.
# make demo PICTURE=file copies the picture that the demo leaves in test/output.
test:
	test/setup build test
	test/run

demo:
	test/setup build demo
	test/cluster --config "shared_preload_libraries = 'featurestore'" --config "featurestore.autostart_worker = on" test/demo/run
	$(if $(PICTURE),cp test/output/demo.svg "$(PICTURE)")

bench:
	test/setup build bench
	test/cluster --config "shared_buffers = 2GB" --config "max_wal_size = 8GB" test/bench/run
	test/cluster --config "shared_buffers = 64MB" --config "max_wal_size = 8GB" test/bench/run --cold
	test/cluster --config "shared_buffers = 2GB" --config "max_wal_size = 8GB" test/bench/windows
	test/cluster --config "shared_buffers = 2GB" --config "max_wal_size = 8GB" test/bench/publish
	test/cluster --config "shared_buffers = 2GB" --config "max_wal_size = 8GB" test/bench/stream
	test/cluster --config "shared_preload_libraries = 'featurestore'" --config "featurestore.autostart_worker = on" --config "shared_buffers = 2GB" test/bench/serve_log
	test/cluster --config "shared_buffers = 2GB" --config "max_wal_size = 8GB" test/bench/history
	test/cluster --config "shared_buffers = 2GB" --config "max_wal_size = 8GB" test/bench/training

pg-config:
	@echo $(PG_CONFIG)

.PHONY: test demo bench pg-config
