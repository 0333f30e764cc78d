// What the build makes up: the scripts that are part of the page.
declare module "ondisk:scripts" {
  const builtIns: readonly import("./app.ts").BuiltIn[];
  export default builtIns;
}
