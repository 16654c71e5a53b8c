# TensorRT's public headers (Apache-2.0), all that the plugin is built with: its library is not linked.

set(TENSORRT_ROOT "$ENV{TENSORRT_ROOT}" CACHE PATH "Folder of TensorRT, or of its headers; for the plugin")
option(ASAM_TENSORRT_FETCH_HEADERS "Fetch TensorRT's public headers where there are none" OFF)
set(ASAM_CUDA_INCLUDE "" CACHE PATH "Folder of cuda_runtime_api.h, for the TensorRT plugin where nvcc is not")
mark_as_advanced(ASAM_CUDA_INCLUDE)
set(ASAM_TENSORRT_REPOSITORY "https://github.com/NVIDIA/TensorRT.git" CACHE STRING "Where the headers are fetched from")
mark_as_advanced(ASAM_TENSORRT_REPOSITORY)
set(ASAM_TENSORRT_COMMIT 94e2b9ef6d2cce74c76cdad499cca36cc4949197) # v10.13.3, the oldest that is supported

# The include folder of one commit and nothing else; a commit names its content.
function(asam_fetch_tensorrt folder)
  find_program(ASAM_GIT git)
  mark_as_advanced(ASAM_GIT)
  if(NOT ASAM_GIT)
    asam_fail("ASAM_TENSORRT_FETCH_HEADERS=ON needs git, which was not found; install it, or name the headers with TENSORRT_ROOT=<folder>")
  endif()
  set(staged "${folder}.part")
  file(REMOVE_RECURSE "${staged}")
  file(MAKE_DIRECTORY "${staged}")
  foreach(step "init;--quiet" "fetch;--quiet;--depth;1;--filter=blob:none;${ASAM_TENSORRT_REPOSITORY};${ASAM_TENSORRT_COMMIT}"
               "checkout;--quiet;${ASAM_TENSORRT_COMMIT};--;include;LICENSE")
    if(step MATCHES "^checkout")
      # Blobs that were filtered out come from where the commit came from.
      execute_process(COMMAND "${ASAM_GIT}" -C "${staged}" remote add origin "${ASAM_TENSORRT_REPOSITORY}")
      execute_process(COMMAND "${ASAM_GIT}" -C "${staged}" config remote.origin.promisor true)
    endif()
    execute_process(COMMAND "${ASAM_GIT}" -C "${staged}" ${step}
                    RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT code EQUAL 0)
      asam_first_error("${output}" line)
      asam_fail("TensorRT's headers cannot be fetched from ${ASAM_TENSORRT_REPOSITORY} (${line}); name a folder with TENSORRT_ROOT=<folder>")
    endif()
  endforeach()
  file(RENAME "${staged}" "${folder}")
endfunction()

# Sets ASAM_TENSORRT_INCLUDE to the folder of NvInfer.h, or to nothing.
macro(asam_find_tensorrt)
  unset(ASAM_TENSORRT_INCLUDE CACHE)
  find_path(ASAM_TENSORRT_INCLUDE NvInfer.h HINTS "${TENSORRT_ROOT}" PATH_SUFFIXES include)
  mark_as_advanced(ASAM_TENSORRT_INCLUDE)
  if(NOT ASAM_TENSORRT_INCLUDE AND TENSORRT_ROOT)
    asam_fail("TENSORRT_ROOT is ${TENSORRT_ROOT}, which has no NvInfer.h, nor has its folder include")
  endif()
  if(NOT ASAM_TENSORRT_INCLUDE AND ASAM_TENSORRT_FETCH_HEADERS)
    set(_asam_fetched "${PROJECT_BINARY_DIR}/tensorrt-${ASAM_TENSORRT_COMMIT}")
    if(NOT EXISTS "${_asam_fetched}")
      asam_fetch_tensorrt("${_asam_fetched}")
    endif()
    set(ASAM_TENSORRT_INCLUDE "${_asam_fetched}/include")
  endif()
  if(ASAM_TENSORRT_INCLUDE)
    message(STATUS "asam: TensorRT headers in ${ASAM_TENSORRT_INCLUDE}")
  else()
    set(ASAM_TENSORRT_INCLUDE "")
    message(STATUS "asam: without the TensorRT plugin: no NvInfer.h; name its folder with TENSORRT_ROOT, or set ASAM_TENSORRT_FETCH_HEADERS=ON")
  endif()
endmacro()

# The headers include CUDA's; they are nobody's to warn about.
function(asam_tensorrt_headers target)
  target_include_directories(${target} SYSTEM PRIVATE "${ASAM_TENSORRT_INCLUDE}" ${ASAM_CUDA_INCLUDE}
                             ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  # TensorRT 10's headers mark what 11 removed.
  target_compile_options(${target} PRIVATE -Wno-deprecated-declarations)
endfunction()

# asam_tensorrt_plugin(<target> <sources...>): a library that exports nothing but how TensorRT loads it.
function(asam_tensorrt_plugin target)
  add_library(${target} SHARED ${ARGN})
  asam_options(${target})
  asam_tensorrt_headers(${target})
  target_link_libraries(${target} PRIVATE asam_core)
  set(exports "${PROJECT_SOURCE_DIR}/cmake/asam_trt_plugin.map")
  target_link_options(${target} PRIVATE -Wl,--version-script=${exports} -Wl,--no-undefined)
  set_target_properties(${target} PROPERTIES LINK_DEPENDS "${exports}")
endfunction()
