// Where programs are looked for. mount(8) starts its helpers without PATH, and a user's PATH may lack the sbin folders.

const standard = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The folders of PATH, then the standard ones. */
export function searchPath(): string {
  const own = process.env["PATH"];
  return own ? `${own}:${standard}` : standard;
}

/** The environment that system tools are started with: their messages in English, found wherever they are. */
export function toolEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: "C", PATH: searchPath() };
}
