// How the tests reach the stack: the environment says where it is.
import { randomUUID } from "node:crypto";

import { ChatSvcApi, Configuration, PromptSvcApi } from "@openorch/client";

export const api = process.env.PARLEY_API;
export const key = process.env.PARLEY_KEY;

const configuration = new Configuration({ basePath: api, apiKey: key });
export const prompts = new PromptSvcApi(configuration);
export const chat = new ChatSvcApi(configuration);

/** A text, an id or a name that no other test has. */
export const unique = (name) => `${name}-${randomUUID()}`;
