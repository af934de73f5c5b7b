import assert from "node:assert/strict";
import { test } from "node:test";

import { chat, prompts, unique } from "./connection.mjs";

test("a thread is added, read, listed, changed and deleted", async () => {
  const id = unique("thread");
  const { thread } = await chat.addThread({ body: { thread: { id, title: "Fruit" } } });
  assert.equal(thread.id, id);
  assert.equal(thread.userIds.length, 1);

  const found = await chat.getThread({ threadId: id });
  assert.equal(found._exists, true);
  assert.equal(found.thread.title, "Fruit");

  const { threads } = await chat.getThreads();
  assert.ok(threads.some((listed) => listed.id === id));

  const changed = { ...thread, title: "Vegetables", topicIds: ["food"] };
  await chat.updateThread({ threadId: id, body: { thread: changed } });
  const again = await chat.getThread({ threadId: id });
  assert.deepEqual([again.thread.title, again.thread.topicIds], ["Vegetables", ["food"]]);

  await chat.deleteThread({ threadId: id });
  assert.equal((await chat.getThread({ threadId: id }))._exists, false);
});

test("messages are added, read in order and deleted", async () => {
  const threadId = unique("thread");
  await chat.addThread({ body: { thread: { id: threadId, title: "Notes" } } });
  const ids = [unique("message"), unique("message")];
  for (const [number, id] of ids.entries()) {
    const message = { id, threadId, content: `note ${number}` };
    await chat.addMessage({ threadId, body: { message } });
  }
  const { messages } = await chat.getMessages({ threadId });
  assert.deepEqual(messages.map(({ id }) => id), ids);
  assert.deepEqual(messages.map(({ content }) => content), ["note 0", "note 1"]);

  await chat.deleteMessage({ messageId: ids[0] });
  const rest = await chat.getMessages({ threadId });
  assert.deepEqual(rest.messages.map(({ id }) => id), [ids[1]]);
});

test("a prompt's thread has its question and its answer", async () => {
  const body = { prompt: unique("question"), threadId: unique("thread"), sync: true };
  const { answer } = await prompts.addPrompt({ body });
  const { thread } = await chat.getThread({ threadId: body.threadId });
  assert.equal(thread.title, body.prompt.slice(0, 100));
  const { messages } = await chat.getMessages({ threadId: body.threadId });
  assert.deepEqual(messages.map(({ content }) => content), [body.prompt, answer]);
});
