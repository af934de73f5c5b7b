import assert from "node:assert/strict";
import { test } from "node:test";

import { PromptSvcApi, Configuration, ResponseError } from "@openorch/client";

import { api, prompts, unique } from "./connection.mjs";

const ALL = ["scheduled", "running", "errored", "completed", "abandoned", "canceled"];
const filter = (field, ...values) => ({
  fields: [field],
  op: "isInList",
  jsonValues: JSON.stringify(values),
});

test("addPrompt with sync answers the answer and the finished prompt", async () => {
  const text = unique("What's a banana?");
  const { answer, prompt } = await prompts.addPrompt({ body: { prompt: text, sync: true } });
  assert.match(answer, new RegExp(text.slice(-36)));
  assert.equal(prompt.status, "completed");
  assert.equal(prompt.prompt, text);
  assert.equal(prompt.runCount, 1);
  assert.ok(prompt.maxRetries > 0);
  assert.equal(prompt.error ?? "", "");
  assert.ok(Date.parse(prompt.createdAt) <= Date.parse(prompt.lastRun));
});

test("addPrompt without sync answers at once, and listPrompts shows how it goes on", async () => {
  const body = { id: unique("prompt"), threadId: unique("thread"), prompt: "later", maxRetries: 2 };
  const { prompt } = await prompts.addPrompt({ body });
  assert.equal(prompt.status, "scheduled");
  for (const name of Object.keys(body)) assert.equal(prompt[name], body[name]);

  const query = { filters: [filter("id", body.id), filter("status", ...ALL)] };
  let listed = { prompts: [{ status: "scheduled" }] };
  while (["scheduled", "running"].includes(listed.prompts[0].status)) {
    listed = await prompts.listPrompts({ body: { query } });
    assert.equal(listed.prompts.length, 1);
  }
  assert.equal(listed.prompts[0].status, "completed");
});

test("addPrompt puts the prompt into its template", async () => {
  const template = "[INST] {prompt} [/INST]";
  const body = { prompt: unique("hello"), template, sync: true };
  const { answer, prompt } = await prompts.addPrompt({ body });
  assert.equal(prompt.template, template);
  assert.ok(answer.includes(`[INST] ${body.prompt} [/INST]`));
});

test("addPrompt keeps the context of a thread", async () => {
  const threadId = unique("thread");
  await prompts.addPrompt({ body: { prompt: "first", threadId, sync: true } });
  const { answer } = await prompts.addPrompt({ body: { prompt: "second", threadId, sync: true } });
  assert.match(answer, /I saw 3 message\(s\) of context/);
});

test("listPrompts without an argument lists the unfinished ones", async () => {
  const { prompts: listed } = await prompts.listPrompts();
  assert.ok(listed.every(({ status }) => ["scheduled", "running"].includes(status)));
});

test("listPrompts pages by its cursor and counts", async () => {
  const threadId = unique("thread");
  for (const prompt of ["one", "two", "three"])
    await prompts.addPrompt({ body: { prompt, threadId, sync: true } });
  const filters = [filter("threadId", threadId), filter("status", ...ALL)];
  const query = { filters, limit: 2, count: true };
  const first = await prompts.listPrompts({ body: { query } });
  assert.deepEqual(first.prompts.map(({ prompt }) => prompt), ["one", "two"]);
  assert.equal(first.count, 3);
  const jsonAfter = JSON.stringify([first.after]);
  const rest = await prompts.listPrompts({ body: { query: { ...query, jsonAfter } } });
  assert.deepEqual(rest.prompts.map(({ prompt }) => prompt), ["three"]);
});

test("removePrompt removes a prompt", async () => {
  const body = { id: unique("prompt"), prompt: "away with it", sync: true };
  await prompts.addPrompt({ body });
  await prompts.removePrompt({ body: { promptId: body.id } });
  const query = { filters: [filter("id", body.id), filter("status", ...ALL)] };
  assert.deepEqual((await prompts.listPrompts({ body: { query } })).prompts, []);
});

test("refusals are ResponseErrors with words in JSON", async () => {
  const nobody = new PromptSvcApi(new Configuration({ basePath: api, apiKey: "wrong" }));
  for (const [client, body, status] of [
    [nobody, { prompt: "hello" }, 401],
    [prompts, { prompt: " " }, 400],
    [prompts, { prompt: "hello", modelId: "no-such-model" }, 400],
  ]) {
    const error = await client.addPrompt({ body }).then(assert.fail, (refused) => refused);
    assert.ok(error instanceof ResponseError);
    assert.equal(error.response.status, status);
    assert.equal(typeof (await error.response.json()).error, "string");
  }
});
