#include "sampler/cuda_weights.cuh"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/cuda_device.cuh"
#include "ops/attention.cuh"

namespace asam::cuda {

namespace {

// What the kernels take beyond SamplerConfig::check.
void check_sizes(const SamplerConfig& config) {
  config.check();
  require(config.channels <= kMostNormColumns, "config['channels']: the CUDA sampler takes up to ",
          kMostNormColumns, ", got ", config.channels);
  require(config.channels / config.heads <= kMostHeadDim,
          "config['heads']: the CUDA sampler takes heads of up to ", kMostHeadDim, " channels, got ",
          config.channels / config.heads);
}

}  // namespace

template <class Act>
class Loader {
 public:
  using Names = std::vector<std::string>;  // of tensors without ".weight", side by side

  Loader(Weights<Act>& weights, const TensorMap& tensors) : weights_(weights), reader_(tensors) {}

  const NamedTensor& read(const std::string& name, const std::vector<std::int64_t>& shape) {
    return reader_.read(name, shape);
  }
  void expect_all_read() { reader_.expect_all_read("prompt."); }

  template <class T>
  const T* upload(const std::vector<T>& values) {
    const std::size_t bytes = values.size() * sizeof(T);
    DeviceArray<std::byte>& memory = weights_.memory_.emplace_back(bytes);
    check(cudaMemcpyAsync(memory.data(), values.data(), bytes, cudaMemcpyHostToDevice, stream_.get()),
          "copying weights");
    stream_.wait();  // before the host's copy goes
    return reinterpret_cast<const T*>(memory.data());
  }

  const float* vector(const std::string& name, const std::vector<std::int64_t>& shape) {
    const NamedTensor& tensor = read(name, shape);
    return upload(std::vector<float>(tensor.data, tensor.data + tensor.size()));
  }

  Norm norm(const std::string& name, std::int64_t n) {
    return {vector(name + ".weight", {n}), vector(name + ".bias", {n})};
  }

  // Tensors side by side, `stacks` of them one below the other.
  template <class T>
  Matrix<T> matrix(const std::vector<Names>& stacks, std::int64_t in) {
    constexpr std::int64_t kChunk = 16 / sizeof(T);
    std::int64_t out = 0;
    for (const std::string& name : stacks.front()) out += read(name, {in, -1}).shape[1];
    const std::int64_t stride = (out + kChunk - 1) / kChunk * kChunk;
    std::vector<T> values(stacks.size() * in * stride, from_float<T>(0.0f));
    T* to = values.data();
    for (const Names& names : stacks) {
      std::int64_t column = 0;
      for (const std::string& name : names) {
        const NamedTensor& tensor = read(name, {in, -1});
        const std::int64_t width = tensor.shape[1];
        require(column + width <= out, "weights: '", name, "' is wider than its like: ", width);
        for (std::int64_t i = 0; i < in; ++i) {
          for (std::int64_t j = 0; j < width; ++j) {
            to[i * stride + column + j] = from_float<T>(tensor.data[i * width + j]);
          }
        }
        column += width;
      }
      to += in * stride;
    }
    return {upload(values), static_cast<int>(in), static_cast<int>(out), static_cast<int>(stride)};
  }

  // Columns of x W + b for several (W, b) that take the same x. Widths as given.
  struct Part {
    std::string name;
    std::int64_t out;
  };
  template <class T>
  Linear<T> linear(const std::vector<Part>& parts, std::int64_t in) {
    Names names;
    std::vector<float> bias;
    for (const Part& part : parts) {
      read(part.name + ".weight", {in, part.out});
      names.push_back(part.name + ".weight");
      const NamedTensor& tensor = read(part.name + ".bias", {part.out});
      bias.insert(bias.end(), tensor.data, tensor.data + tensor.size());
    }
    return {matrix<T>({names}, in), upload(bias), 1};
  }
  template <class T>
  Linear<T> linear(const std::string& name, std::int64_t in, std::int64_t out) {
    return linear<T>({{name, out}}, in);
  }

  // Without combiners the rows themselves: the identity, once an image.
  Linear<float> feature(const std::string& name) {
    const std::int64_t c = config().channels;
    if (!config().combines()) {
      std::vector<float> one(static_cast<std::size_t>(c * c), 0.0f);
      for (std::int64_t i = 0; i < c; ++i) one[static_cast<std::size_t>(i * (c + 1))] = 1.0f;
      const int width = static_cast<int>(c);
      return {{upload(one), width, width, width}, nullptr, 1};
    }
    read(name + ".feature", {c, c});
    return {matrix<float>({{name + ".feature"}}, c), vector(name + ".bias0", {c}), 1};
  }

  template <class T>
  std::vector<Linear<T>> combiner(const std::string& name) {
    const std::int64_t c = config().channels;
    std::vector<Linear<T>> out;
    for (std::int64_t i = 1; i < config().combiner_layers; ++i) {
      out.push_back(linear<T>(name + ".layers." + std::to_string(i), c, c));
    }
    return out;
  }

  // The prompt's last bias is added once a hypothesis, and combiner_image's with it.
  const float* vector_bias() {
    const std::int64_t c = config().channels;
    const std::string last = ".layers." + std::to_string(config().combiner_layers - 1) + ".bias";
    const NamedTensor &image = read("combiner_image" + last, {c}),
                      &prompt = read("combiner_prompt" + last, {c});
    std::vector<float> sum(image.data, image.data + c);
    for (std::int64_t i = 0; i < c; ++i) sum[static_cast<std::size_t>(i)] += prompt.data[i];
    return upload(sum);
  }

  // Keys (with position) and values of the cells.
  Linear<Act> keys_values(const std::string& name) {
    const std::int64_t c = config().channels, half = c / 2, cells = config().cells();
    read(name + ".k.weight", {c, half});
    read(name + ".v.weight", {c, half});
    read(name + ".k.bias", {half});  // part of k.pe
    const float* position = read(name + ".k.pe", {cells, half}).data;
    const float* value = read(name + ".v.bias", {half}).data;
    std::vector<float> bias;
    for (std::int64_t cell = 0; cell < cells; ++cell) {
      bias.insert(bias.end(), position + cell * half, position + (cell + 1) * half);
      bias.insert(bias.end(), value, value + half);
    }
    return {matrix<Act>({{name + ".k.weight", name + ".v.weight"}}, c), upload(bias), cells};
  }

  Linear<Act> cell_queries(const std::string& name) {
    const std::int64_t c = config().channels, half = c / 2, cells = config().cells();
    read(name + ".weight", {c, half});
    read(name + ".bias", {half});  // part of .pe
    return {matrix<Act>({{name + ".weight"}}, c), vector(name + ".pe", {cells, half}), cells};
  }

  Prefix prefix() {
    const std::int64_t c = config().channels;
    const std::string name = "layers.0.";
    return {linear<float>({{name + "self_attn.q", c}, {name + "self_attn.k", c}}, c),
            linear<float>(name + "self_attn.v", c, c), linear<float>(name + "self_attn.out", c, c),
            norm(name + "norm1", c), linear<float>(name + "token_to_image.q", c, c / 2)};
  }

  TwoWayLayer<Act> layer(std::int64_t i) {
    const std::int64_t c = config().channels, half = c / 2;
    const std::string name = "layers." + std::to_string(i) + ".";
    const std::string next = "layers." + std::to_string(i + 1) + ".self_attn.";
    const bool last = i + 1 == config().depth;
    TwoWayLayer<Act> out;
    if (i > 0) {
      out.self_out = linear<Act>(name + "self_attn.out", c, c);
      out.norm1 = norm(name + "norm1", c);
      out.token_q = linear<Act>(name + "token_to_image.q", c, half);
    }
    out.image_kv = keys_values(name + "token_to_image");
    out.token_out = linear<Act>(name + "token_to_image.out", half, c);
    out.norm2 = norm(name + "norm2", c);
    out.mlp0 = linear<Act>(name + "mlp.0", c, config().mlp_dim);
    out.mlp1 = linear<Act>(name + "mlp.1", config().mlp_dim, c);
    out.norm3 = norm(name + "norm3", c);
    std::vector<Part> of_point{{name + "image_to_token.k", half}},
        of_queries{{name + "image_to_token.v", half}};
    if (last) {
      of_point.push_back({"final.q", half});
    } else {
      of_point.push_back({next + "q", c});
      of_point.push_back({next + "k", c});
      of_queries.push_back({next + "v", c});
    }
    out.of_point = linear<Act>(of_point, c);
    out.of_queries = linear<Act>(of_queries, c);
    out.image_q = cell_queries(name + "image_to_token.q");
    out.image_out = linear<Act>(name + "image_to_token.out", half, c);
    out.norm4 = norm(name + "norm4", c);
    return out;
  }

  // One of the transposed convolutions: [in, 4 width], the bias once for each (dy, dx).
  Linear<Act> upscale(const std::string& name, std::int64_t in, std::int64_t width) {
    read(name + ".weight", {in, 4 * width});
    const NamedTensor& once = read(name + ".bias", {width});
    std::vector<float> bias;
    for (int i = 0; i < 4; ++i) bias.insert(bias.end(), once.data, once.data + width);
    return {matrix<Act>({{name + ".weight"}}, in), upload(bias), 1};
  }

  // Layer i of all K hyper-networks, one below the other.
  Linear<Act> hyper(int i, std::int64_t out) {
    const std::int64_t c = config().channels;
    std::vector<Names> stacks;
    std::vector<float> bias;
    for (std::int64_t k = 0; k < config().mask_tokens; ++k) {
      const std::string name = "hyper." + std::to_string(k) + "." + std::to_string(i);
      read(name + ".weight", {c, out});
      stacks.push_back({name + ".weight"});
      const NamedTensor& tensor = read(name + ".bias", {out});
      bias.insert(bias.end(), tensor.data, tensor.data + out);
    }
    return {matrix<Act>(stacks, c), upload(bias), 1};
  }

  // The last layers: as one product over [K C], or K of them where masks are separate.
  Linear<Act> hyper_last() {
    const std::int64_t width = config().channels / 8, k = config().mask_tokens;
    Linear<Act> out = hyper(2, width);
    if (config().separate_masks) return out;
    out.w.in *= static_cast<int>(k);
    std::vector<float> bias(static_cast<std::size_t>(width), 0.0f);
    for (std::int64_t i = 0; i < k; ++i) {
      const NamedTensor& tensor = read("hyper." + std::to_string(i) + ".2.bias", {width});
      for (std::int64_t j = 0; j < width; ++j) bias[static_cast<std::size_t>(j)] += tensor.data[j];
    }
    out.bias = upload(bias);
    return out;
  }

  // Hidden widths are the file's own; each layer's input is the output before it.
  std::vector<Linear<Act>> iou() {
    std::vector<Linear<Act>> out;
    std::int64_t in = config().channels;
    for (std::int64_t i = 0; i < config().iou_layers; ++i) {
      const std::string name = "iou." + std::to_string(i);
      const bool last = i + 1 == config().iou_layers;
      const std::int64_t width = read(name + ".weight", {in, last ? config().masks() : -1}).shape[1];
      out.push_back(linear<Act>(name, in, width));
      in = width;
    }
    return out;
  }

 private:
  const SamplerConfig& config() const { return weights_.config; }

  Weights<Act>& weights_;
  TensorReader reader_;
  Stream stream_;
};

template <class Act>
Weights<Act>::Weights(const SamplerConfig& sizes, const TensorMap& tensors) : config(sizes) {
  check_sizes(config);
  Loader<Act> loader(*this, tensors);
  const std::int64_t c = config.channels, half = c / 2;
  image_feature = loader.feature("combiner_image");
  prompt_feature = loader.feature("combiner_prompt");
  if (config.combines()) {
    loader.read("combiner_prompt.latent", {config.latent, c});
    loader.read("combiner_image.latent", {config.latent, c});
    latent =
        loader.template matrix<float>({{"combiner_prompt.latent"}, {"combiner_image.latent"}}, config.latent);
    vector = loader.template combiner<float>("combiner_prompt");
    vector_bias = loader.vector_bias();
    image_layers = loader.template combiner<Act>("combiner_image");
    prompt_layers = loader.template combiner<Act>("combiner_prompt");
  }
  loader.read("pe", {config.cells(), c});  // already inside the position terms
  output_tokens = loader.vector("output_tokens", {config.output_tokens(), c});
  prefix = loader.prefix();
  for (std::int64_t i = 0; i < config.depth; ++i) layers.push_back(loader.layer(i));
  final_kv = loader.keys_values("final");
  final_out = loader.template linear<Act>("final.out", half, c);
  final_norm = loader.norm("final.norm", c);
  upscale0 = loader.upscale("upscale.0", c, c / 4);
  upscale1 = loader.upscale("upscale.1", c / 4, c / 8);
  upscale_norm = loader.norm("upscale.norm", c / 4);
  hyper0 = loader.hyper(0, c);
  hyper1 = loader.hyper(1, c);
  hyper2 = loader.hyper_last();
  iou = loader.iou();
  for (const Linear<Act>& each : iou) widest_iou = std::max(widest_iou, each.w.out);
  loader.expect_all_read();
}

template struct Weights<float>;
template struct Weights<Bf16>;
template struct Weights<Fp16>;

}  // namespace asam::cuda
