# Experiments: what docs/dataplane.md tells figures of. Not part of `all`, not installed. make experiments
EXPERIMENT_OBJ := $(BUILD)/experiments
FUSE_URING := fuse_uring_main fuse_uring_store fuse_uring_device fuse_uring_ring

.PHONY: experiments
experiments: $(BUILD)/swapfs-fuse-uring

$(BUILD)/swapfs-fuse-uring: $(FUSE_URING:%=$(EXPERIMENT_OBJ)/%.o) $(DATAPLANE_OBJ)/fuse_mount.o $(DATAPLANE_OBJ)/log.o \
  $(DATAPLANE_OBJ)/options.o
	$(DP_CXX) -o $@ $^ $(DP_LINK) -luring

$(EXPERIMENT_OBJ)/%.o: experiments/%.cc experiments/experiments.mk Makefile
	@mkdir -p $(@D)
	$(DP_CXX) $(DP_FLAGS) -c -o $@ $<

-include $(wildcard $(EXPERIMENT_OBJ)/*.d)
