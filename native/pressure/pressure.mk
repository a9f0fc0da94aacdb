# The memory workload: $(BUILD)/swapfs-pressure. Works alone (make -C native -f pressure/pressure.mk) and included.
BUILD ?= build
CXX ?= g++

PRESSURE_SOURCES := $(wildcard pressure/*.cc)
PRESSURE_OBJECTS := $(PRESSURE_SOURCES:%.cc=$(BUILD)/%.o)
PRESSURE_FLAGS := -std=c++20 -O2 -pthread -D_GNU_SOURCE -Wall -Wextra -Wconversion -Werror

.PHONY: pressure
pressure: $(BUILD)/swapfs-pressure

$(BUILD)/swapfs-pressure: $(PRESSURE_OBJECTS)
	$(CXX) -pthread -static-libstdc++ -static-libgcc -o $@ $^

$(BUILD)/pressure/%.o: pressure/%.cc $(wildcard pressure/*.h) pressure/pressure.mk
	@mkdir -p $(@D)
	$(CXX) $(PRESSURE_FLAGS) -c -o $@ $<
