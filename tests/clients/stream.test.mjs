import assert from "node:assert/strict";
import { test } from "node:test";

import { api, key, prompts, unique } from "./connection.mjs";

// As the contract advises: the client's own call waits for the end of the body, so a
// program opens the URL with fetch and splits the body on newlines.
async function* chunks(threadId) {
  const url = `${api}/prompt-svc/prompts/${threadId}/responses/subscribe`;
  let lastId = "";
  while (true) {
    const headers = { Authorization: key, ...(lastId && { "Last-Event-ID": lastId }) };
    const answer = await fetch(url, { headers });
    assert.equal(answer.status, 200);
    for (const line of (await answer.text()).split("\n")) {
      if (line.startsWith("id: ")) lastId = line.slice(4);
      if (line.startsWith("data: ")) yield JSON.parse(line.slice(6));
    }
  }
}

test("the stream of a thread, read with fetch, is the stored answer", async () => {
  const body = { id: unique("prompt"), threadId: unique("thread"), prompt: "in pieces" };
  await prompts.addPrompt({ body });
  let text = "";
  for await (const { choices } of chunks(body.threadId)) {
    text += choices[0].text ?? "";
    if (choices[0].finish_reason) break;
  }
  const { answer } = await prompts.addPrompt({ body: { ...body, sync: true } });
  assert.equal(text, answer);
});
