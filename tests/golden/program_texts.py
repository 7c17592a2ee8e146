"""Texts of optimised programs as compilers wrote them, cut to what is tested."""

# A TPU v5e: a step of decoding that scans over 36 layers. The product takes its
# slice of the stack within a fusion, and leaves its result beside the cores; the
# keys' update is a fusion that writes one token into the stack; 36 rows of the
# stack are loaded ahead.
TPU_STEP = """\
HloModule jit_on_device, is_scheduled=true, entry_computation_layout={(bf16[36,512,256]{2,1,0:T(8,128)(2,1)})->s32[]}, num_partitions=4

%fused_slice (param_0.1: bf16[36,512,256], param_1.1: s32[]) -> bf16[512,256] {
  %param_0.1 = bf16[36,512,256]{2,1,0:T(8,128)(2,1)} parameter(0)
  %param_1.1 = s32[]{:T(128)} parameter(1)
  %constant.1 = s32[]{:T(128)} constant(0)
  %dynamic-slice.1 = bf16[1,512,256]{2,1,0:T(8,128)(2,1)} dynamic-slice(%param_0.1, %param_1.1, %constant.1, %constant.1), dynamic_slice_sizes={1,512,256}
  ROOT %bitcast.1 = bf16[512,256]{1,0:T(8,128)(2,1)} bitcast(%dynamic-slice.1)
}

%fused_product (param_0.2: bf16[36,512,256], param_1.2: s32[], param_2.2: bf16[64,256]) -> bf16[64,512] {
  %param_2.2 = bf16[64,256]{1,0:T(8,128)(2,1)S(1)} parameter(2)
  %param_0.2 = bf16[36,512,256]{2,1,0:T(8,128)(2,1)} parameter(0)
  %param_1.2 = s32[]{:T(128)} parameter(1)
  %fusion.1 = bf16[512,256]{1,0:T(8,128)(2,1)} fusion(%param_0.2, %param_1.2), kind=kLoop, calls=%fused_slice, metadata={op_name="jit(f)/(a, b)/squeeze" stack_frame_id=92}
  ROOT %convolution.1 = bf16[64,512]{1,0:T(8,128)(2,1)S(1)} convolution(%param_2.2, %fusion.1), dim_labels=bf_oi->bf
}

%fused_update (param_0.3: bf16[36,64,2,100,128], param_1.3: s32[], param_2.3: bf16[1,64,2,1,128]) -> bf16[36,64,2,100,128] {
  %param_0.3 = bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)} parameter(0)
  %param_2.3 = bf16[1,64,2,1,128]{4,3,2,1,0:T(8,128)(2,1)S(1)} parameter(2)
  %param_1.3 = s32[]{:T(128)} parameter(1)
  %constant.3 = s32[]{:T(128)} constant(0)
  ROOT %dynamic-update-slice.1 = bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)} dynamic-update-slice(%param_0.3, %param_2.3, %param_1.3, %constant.3, %constant.3, /*index=5*/%param_1.3, %constant.3)
}

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[]{:T(128)} parameter(0)
  %y = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%x, %y)
}

%layer (arg: (s32[], bf16[36,512,256], bf16[36,64,2,100,128], bf16[64,256])) -> (s32[], bf16[36,512,256], bf16[36,64,2,100,128], bf16[64,256]) {
  %arg = (s32[]{:T(128)}, bf16[36,512,256]{2,1,0:T(8,128)(2,1)}, bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)}, bf16[64,256]{1,0:T(8,128)(2,1)S(1)}) parameter(0)
  %index = s32[]{:T(128)} get-tuple-element(%arg), index=0
  %stack = bf16[36,512,256]{2,1,0:T(8,128)(2,1)} get-tuple-element(%arg), index=1
  %keys = bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)} get-tuple-element(%arg), index=2
  %input = bf16[64,256]{1,0:T(8,128)(2,1)S(1)} get-tuple-element(%arg), index=3
  %fusion.2 = bf16[64,512]{1,0:T(8,128)(2,1)S(1)} fusion(%stack, %index, %input), kind=kOutput, calls=%fused_product, backend_config={"note":"a } in quotes"}
  %all-reduce.1 = bf16[64,512]{1,0:T(8,128)(2,1)S(1)} all-reduce(%fusion.2), channel_id=1, replica_groups={{0,1},{2,3}}, use_global_device_ids=true, to_apply=%add
  %bitcast.2 = bf16[1,64,2,1,128]{4,3,2,1,0:T(8,128)(2,1)S(1)} bitcast(%all-reduce.1)
  %fusion.3 = bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)} fusion(%keys, %index, %bitcast.2), kind=kLoop, calls=%fused_update
  %one = s32[]{:T(128)} constant(1)
  %next = s32[]{:T(128)} add(%index, %one)
  ROOT %tuple.1 = (s32[]{:T(128)}, bf16[36,512,256]{2,1,0:T(8,128)(2,1)}, bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)}, bf16[64,256]{1,0:T(8,128)(2,1)S(1)}) tuple(%next, %stack, %fusion.3, %input)
}

%is_layer (arg.1: (s32[], bf16[36,512,256], bf16[36,64,2,100,128], bf16[64,256])) -> pred[] {
  %arg.1 = (s32[]{:T(128)}, bf16[36,512,256]{2,1,0:T(8,128)(2,1)}, bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)}, bf16[64,256]{1,0:T(8,128)(2,1)S(1)}) parameter(0)
  %index.1 = s32[]{:T(128)} get-tuple-element(%arg.1), index=0
  %limit = s32[]{:T(128)} constant(36)
  ROOT %less = pred[]{:T(512)} compare(%index.1, %limit), direction=LT
}

%step (state: (s32[], bf16[36,512,256], bf16[36,64,2,100,128], bf16[64,256])) -> (s32[], bf16[36,512,256], bf16[36,64,2,100,128], bf16[64,256]) {
  %state = (s32[]{:T(128)}, bf16[36,512,256]{2,1,0:T(8,128)(2,1)}, bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)}, bf16[64,256]{1,0:T(8,128)(2,1)S(1)}) parameter(0)
  ROOT %while.1 = (s32[]{:T(128)}, bf16[36,512,256]{2,1,0:T(8,128)(2,1)}, bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)}, bf16[64,256]{1,0:T(8,128)(2,1)S(1)}) while(%state), condition=%is_layer, body=%layer
}

%goes_on (state.1: (s32[], bf16[36,512,256], bf16[36,64,2,100,128], bf16[64,256])) -> pred[] {
  %state.1 = (s32[]{:T(128)}, bf16[36,512,256]{2,1,0:T(8,128)(2,1)}, bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)}, bf16[64,256]{1,0:T(8,128)(2,1)S(1)}) parameter(0)
  %count = s32[]{:T(128)} get-tuple-element(%state.1), index=0
  %most = s32[]{:T(128)} copy(%count)
  ROOT %fewer = pred[]{:T(512)} compare(%count, %most), direction=LT
}

ENTRY %main (stack.1: bf16[36,512,256], keys.1: bf16[36,64,2,100,128], input.1: bf16[64,256]) -> bf16[36,64,2,100,128] {
  %stack.1 = bf16[36,512,256]{2,1,0:T(8,128)(2,1)} parameter(0)
  %keys.1 = bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)} parameter(1)
  %input.1 = bf16[64,256]{1,0:T(8,128)(2,1)} parameter(2)
  %copy-start.1 = (bf16[64,256]{1,0:T(8,128)(2,1)S(1)}, bf16[64,256]{1,0:T(8,128)(2,1)}, u32[]{:S(2)}) copy-start(%input.1)
  %copy-done.1 = bf16[64,256]{1,0:T(8,128)(2,1)S(1)} copy-done(%copy-start.1)
  %slice-start.1 = ((bf16[36,512,256]{2,1,0:T(8,128)(2,1)}), bf16[9,512,256]{2,1,0:T(8,128)(2,1)S(1)}, s32[]{:S(2)}) slice-start(%stack.1), slice={[0:9], [0:512], [0:256]}
  %slice-done.1 = bf16[9,512,256]{2,1,0:T(8,128)(2,1)S(1)} slice-done(%slice-start.1)
  %zero = s32[]{:T(128)} constant(0)
  %tuple.2 = (s32[]{:T(128)}, bf16[36,512,256]{2,1,0:T(8,128)(2,1)}, bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)}, bf16[64,256]{1,0:T(8,128)(2,1)S(1)}) tuple(%zero, %stack.1, %keys.1, %copy-done.1)
  %while.2 = (s32[]{:T(128)}, bf16[36,512,256]{2,1,0:T(8,128)(2,1)}, bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)}, bf16[64,256]{1,0:T(8,128)(2,1)S(1)}) while(%tuple.2), condition=%goes_on, body=%step
  ROOT %keys.2 = bf16[36,64,2,100,128]{4,3,2,1,0:T(8,128)(2,1)} get-tuple-element(%while.2), index=2
}
"""

# An H100: the same scan, where each layer's weights are copied out of their stack
# before the product, and then the product by a library with memory to work in.
GPU_LAYER = """\
HloModule jit_on_device, is_scheduled=true

%fused_copy (param_0: bf16[36,512,256], param_1: s32[]) -> bf16[1,512,256] {
  %param_0 = bf16[36,512,256]{2,1,0} parameter(0)
  %param_1 = s32[] parameter(1)
  %zero = s32[] constant(0)
  ROOT %dynamic-slice.1 = bf16[1,512,256]{2,1,0} dynamic-slice(%param_0, %param_1, %zero, %zero), dynamic_slice_sizes={1,512,256}
}

%layer (arg: (s32[], bf16[36,512,256], bf16[64,256])) -> (s32[], bf16[36,512,256], bf16[64,256]) {
  %arg = (s32[], bf16[36,512,256]{2,1,0}, bf16[64,256]{1,0}) parameter(0)
  %index = s32[] get-tuple-element(%arg), index=0
  %stack = bf16[36,512,256]{2,1,0} get-tuple-element(%arg), index=1
  %input = bf16[64,256]{1,0} get-tuple-element(%arg), index=2
  %dynamic_slice_fusion = bf16[1,512,256]{2,1,0} fusion(%stack, %index), kind=kLoop, calls=%fused_copy
  %bitcast.1 = bf16[512,256]{1,0} bitcast(%dynamic_slice_fusion)
  %gemm = (bf16[64,512]{1,0}, s8[4194304]{0}) custom-call(%input, %bitcast.1), custom_call_target="__cublas$gemm"
  %product = bf16[64,512]{1,0} get-tuple-element(%gemm), index=0
  %slice.1 = bf16[64,256]{1,0} slice(%product), slice={[0:64], [0:256]}
  %one = s32[] constant(1)
  %next = s32[] add(%index, %one)
  ROOT %tuple = (s32[], bf16[36,512,256]{2,1,0}, bf16[64,256]{1,0}) tuple(%next, %stack, %slice.1)
}

%is_layer (arg.1: (s32[], bf16[36,512,256], bf16[64,256])) -> pred[] {
  %arg.1 = (s32[], bf16[36,512,256]{2,1,0}, bf16[64,256]{1,0}) parameter(0)
  %index.1 = s32[] get-tuple-element(%arg.1), index=0
  %limit = s32[] constant(36)
  ROOT %less = pred[] compare(%index.1, %limit), direction=LT
}

ENTRY %main (stack.1: bf16[36,512,256], input.1: bf16[64,256]) -> bf16[64,256] {
  %stack.1 = bf16[36,512,256]{2,1,0} parameter(0)
  %input.1 = bf16[64,256]{1,0} parameter(1)
  %zero.1 = s32[] constant(0)
  %tuple.1 = (s32[], bf16[36,512,256]{2,1,0}, bf16[64,256]{1,0}) tuple(%zero.1, %stack.1, %input.1)
  %while.1 = (s32[], bf16[36,512,256]{2,1,0}, bf16[64,256]{1,0}) while(%tuple.1), condition=%is_layer, body=%layer, backend_config={"known_trip_count":{"n":"36"},"known_init_step":{"init":"0","step":"1"}}
  ROOT %result = bf16[64,256]{1,0} get-tuple-element(%while.1), index=2
}
"""

# An H100: of logits that are masked, one for each row is taken.
GPU_CHOICE = """\
HloModule jit_on_device, is_scheduled=true

%fused_choice (param_0: f32[200,1000], param_1: pred[200,1000], param_2: s32[200,2]) -> f32[200] {
  %param_0 = f32[200,1000]{1,0} parameter(0)
  %param_1 = pred[200,1000]{1,0} parameter(1)
  %param_2 = s32[200,2]{1,0} parameter(2)
  %least = f32[] constant(-inf)
  %leasts = f32[200,1000]{1,0} broadcast(%least), dimensions={}
  %masked = f32[200,1000]{1,0} select(%param_1, %param_0, %leasts)
  ROOT %gather.1 = f32[200]{0} gather(%masked, %param_2), offset_dims={}, collapsed_slice_dims={0,1}, start_index_map={0,1}, index_vector_dim=1, slice_sizes={1,1}
}

ENTRY %main (logits: f32[200,1000], exists: pred[200,1000], places: s32[200,2]) -> f32[200] {
  %logits = f32[200,1000]{1,0} parameter(0)
  %exists = pred[200,1000]{1,0} parameter(1)
  %places = s32[200,2]{1,0} parameter(2)
  ROOT %chosen = f32[200]{0} fusion(%logits, %exists, %places), kind=kLoop, calls=%fused_choice
}
"""
