//===- RunTest.cpp - The graph as a function ------------------------------===//

#include "Fixtures.h"

#include <sys/resource.h>

namespace {

class Run : public WithModel {
protected:
  float x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {10, 20, 30, 40, 50, 60};
  int32_t mode = fake::Add;
  std::vector<qtale_tensor> inputs = {
      {"mode", QTALE_INT32, 0, {}, &mode},
      {"y", QTALE_FLOAT32, 2, {2, 3}, y},
      {"x", QTALE_FLOAT32, 2, {2, 3}, x},
  };
  std::vector<qtale_tensor> outputs = {{"turned", 0, 0, {}, nullptr},
                                       {"rows", 0, 0, {}, nullptr},
                                       {"sum", 0, 0, {}, nullptr}};

  int32_t run(qtale_error *error = nullptr, const qtale_pool *pool = nullptr) {
    return api->run(model, pool, inputs.data(), inputs.size(), outputs.data(),
                    outputs.size(), error);
  }
  void releaseAll() {
    for (qtale_tensor &output : outputs)
      api->release(&output);
  }
  std::vector<float> floats(const qtale_tensor &tensor, int64_t count) {
    auto *data = static_cast<const float *>(tensor.data);
    return {data, data + count};
  }
};

} // namespace

TEST_F(Run, MatchesByNameAndCopiesWhatIsWanted) {
  qtale_pool *pool = nullptr;
  ASSERT_EQ(api->pool_create(3, &pool, nullptr), QTALE_OK);
  for (const qtale_pool *used : {pool, (qtale_pool *)nullptr}) {
    ASSERT_EQ(run(&error, used), QTALE_OK) << error.message;
    EXPECT_EQ(outputs[0].dtype, QTALE_FLOAT32);
    ASSERT_EQ(outputs[0].rank, 2);
    EXPECT_EQ(outputs[0].dims[0], 3);
    EXPECT_EQ(outputs[0].dims[1], 2);
    EXPECT_EQ(floats(outputs[0], 6), std::vector<float>({1, 4, 2, 5, 3, 6}));
    EXPECT_EQ(outputs[1].rank, 0);
    EXPECT_EQ(*static_cast<int64_t *>(outputs[1].data), 2);
    EXPECT_EQ(floats(outputs[2], 6),
              std::vector<float>({11, 22, 33, 44, 55, 66}));
    releaseAll();
  }
  api->pool_destroy(pool);
}

TEST_F(Run, EmptyTensorsArePossible) {
  inputs[1].dims[0] = inputs[2].dims[0] = 0;
  inputs[1].data = inputs[2].data = nullptr;
  ASSERT_EQ(run(&error), QTALE_OK) << error.message;
  EXPECT_EQ(outputs[0].dims[1], 0);
  EXPECT_EQ(*static_cast<int64_t *>(outputs[1].data), 0);
  releaseAll();
}

TEST_F(Run, ManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        qtale_tensor sum = {"sum", 0, 0, {}, nullptr};
        ASSERT_EQ(api->run(model, nullptr, inputs.data(), inputs.size(), &sum,
                           1, nullptr),
                  QTALE_OK);
        EXPECT_EQ(static_cast<float *>(sum.data)[5], 66);
        api->release(&sum);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

TEST_F(Run, WrongInputsAreNamed) {
  auto refused = [&](int32_t code, size_t index, qtale_tensor wrong,
                     const char *words) {
    std::vector<qtale_tensor> right = inputs;
    inputs[index] = wrong;
    EXPECT_FAILS(code, words, run(&error));
    inputs = right;
  };
  refused(QTALE_NOT_FOUND, 0, {"z", QTALE_INT32, 0, {}, &mode},
          "no input 'z'; its inputs: 'x', 'y', 'mode'");
  refused(QTALE_NOT_FOUND, 0, {nullptr, QTALE_INT32, 0, {}, &mode},
          "no input '(null)'");
  refused(QTALE_INVALID_ARGUMENT, 0, inputs[1], "input 'y' is given twice");
  refused(QTALE_INVALID_ARGUMENT, 2, {"x", QTALE_INT64, 2, {2, 3}, x},
          "input 'x' is int64, but the model takes float32");
  refused(QTALE_INVALID_ARGUMENT, 2, {"x", QTALE_FLOAT32, 2, {2, 4}, x},
          "input 'x' has rank 2 and shape [2, 4], but the model takes [?, 3]");
  refused(QTALE_INVALID_ARGUMENT, 2, {"x", QTALE_FLOAT32, 1, {6}, x},
          "has rank 1 and shape [6], but the model takes [?, 3]");
  refused(QTALE_INVALID_ARGUMENT, 2, {"x", QTALE_FLOAT32, 77, {6}, x},
          "has rank 77");
  refused(QTALE_INVALID_ARGUMENT, 2, {"x", QTALE_FLOAT32, 2, {-2, 3}, x},
          "shape [-2, 3]");
  refused(QTALE_INVALID_ARGUMENT, 2,
          {"x", QTALE_FLOAT32, 2, {int64_t(1) << 61, 3}, x},
          "larger than memory can be");
  refused(QTALE_INVALID_ARGUMENT, 2, {"x", QTALE_FLOAT32, 2, {2, 3}, nullptr},
          "has no data");
  inputs.pop_back();
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "input 'x' is missing", run(&error));
}

TEST_F(Run, UnknownOutputsAreNamed) {
  outputs[1].name = "product";
  EXPECT_FAILS(QTALE_NOT_FOUND,
               "no output 'product'; its outputs: 'sum', 'turned', 'rows'",
               run(&error));
}

TEST_F(Run, ShapesThatDoNotFitTogether) {
  inputs[1].dims[0] = 1;
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "input shapes do not fit together",
               run(&error));
}

TEST_F(Run, AFailureLeavesNoOutputBehind) {
  mode = fake::TooMuchScratch;
  EXPECT_FAILS(QTALE_LIMIT, "scratch memory", run(&error));
  mode = fake::HugeOutput; // the two before it were copied by then
  EXPECT_FAILS(QTALE_OUT_OF_MEMORY, "memory ran out", run(&error));
  for (const qtale_tensor &output : outputs)
    EXPECT_EQ(output.data, nullptr);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// A sanitizer's own addresses are beyond any such limit.
TEST_F(Run, ManagesWithFewAddresses) {
  auto runLimited = [&] {
    rlimit limit = {rlim_t(4) << 30, rlim_t(4) << 30};
    setrlimit(RLIMIT_AS, &limit);
    exit(run() != QTALE_OK || static_cast<float *>(outputs[2].data)[5] != 66);
  };
  EXPECT_EXIT(runLimited(), testing::ExitedWithCode(0), "");
}
#endif

TEST_F(Run, PortsAreDescribed) {
  ASSERT_EQ(api->model_num_inputs(model), 3);
  ASSERT_EQ(api->model_num_outputs(model), 3);
  qtale_tensor port;
  ASSERT_EQ(api->model_output(model, 1, &port, nullptr), QTALE_OK);
  EXPECT_STREQ(port.name, "turned");
  EXPECT_EQ(port.dtype, QTALE_FLOAT32);
  EXPECT_EQ(port.rank, 2);
  EXPECT_EQ(port.dims[0], 3);
  EXPECT_EQ(port.dims[1], -1);
  EXPECT_FAILS(QTALE_NOT_FOUND, "input 3 of 3",
               api->model_input(model, 3, &port, &error));
  const int64_t *ids = nullptr;
  ASSERT_EQ(api->model_eos(model, &ids), 2);
  EXPECT_EQ(ids[1], 30);
  EXPECT_EQ(api->model_bos(model), 1);
  EXPECT_EQ(api->model_vocab(model), 32);
  EXPECT_EQ(api->model_context(model), 100);
}

// What a sanitizer would stop at, the runtime answers.
extern "C" const char *__asan_default_options() {
  return "allocator_may_return_null=1";
}
extern "C" const char *__tsan_default_options() {
  return "allocator_may_return_null=1";
}
