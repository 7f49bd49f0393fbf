/** Where the daemon answers, relative to this file, so that a proxy may put it under any path. */

export function httpAddress(path) {
  return new URL(`../${path}`, import.meta.url).href;
}

export function socketAddress(path) {
  return httpAddress(path).replace(/^http/, "ws");
}
