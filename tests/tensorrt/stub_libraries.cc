// What NVIDIA's Python bindings ask of libnvinfer, libnvinfer_plugin and libnvonnxparser to be imported.
// Nothing can be made with it: each function gives nothing.
extern "C" {

void* createInferBuilder_INTERNAL(void*, int) {
  return nullptr;
}
void* createInferRefitter_INTERNAL(void*, void*, int) {
  return nullptr;
}
void* createInferRuntime_INTERNAL(void*, int) {
  return nullptr;
}
void* getBuilderPluginRegistry(int) {
  return nullptr;
}
void* getPluginRegistry() {
  return nullptr;
}
void* createNvOnnxParser_INTERNAL(void*, void*, int) {
  return nullptr;
}
void* createNvOnnxParserRefitter_INTERNAL(void*, void*, int) {
  return nullptr;
}
int getNvOnnxParserVersion() {
  return 0;
}
bool initLibNvInferPlugins(void*, const char*) {
  return true;
}
}
