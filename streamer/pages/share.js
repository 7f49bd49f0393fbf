/** The address at which others read along. */

import { httpAddress } from "./address.js";

const LOCAL = /^(localhost|.*\.localhost|127\.[\d.]+|\[::1\])$/;

/** `elements`: {button, dialog, address, open, copy, local, token}. Return what sets the session and who needs a token. */
export function wireShare({ button, dialog, address, open, copy, local, token }) {
  button.addEventListener("click", () => {
    dialog.showModal();
    address.select();
  });
  copy.addEventListener("click", async () => {
    copy.textContent = (await copyText(address.value)) ? "Copied" : "Press Ctrl-C";
    address.select();
    setTimeout(() => (copy.textContent = "Copy address"), 2_000);
  });
  local.hidden = !LOCAL.test(location.hostname);
  return (session, wantsToken) => {
    const found = httpAddress(`captions/${session}`);
    address.value = found;
    open.href = found;
    token.hidden = !wantsToken;
    button.disabled = false;
  };
}

/** Put a text into the clipboard; return whether the browser let us. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
