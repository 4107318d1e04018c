// Whether what is sent to a host stays on this machine, and so may go without encryption.

/** `host`: as an address has it, one of IPv6 in brackets. A name that only resolves to this machine does not count. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
