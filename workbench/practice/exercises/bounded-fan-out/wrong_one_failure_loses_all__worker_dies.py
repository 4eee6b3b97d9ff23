import asyncio


async def fan_out(client, prompts, limit):
    results, todo = [None] * len(prompts), asyncio.Queue()
    for item in enumerate(prompts):
        todo.put_nowait(item)

    async def work():
        while True:
            index, prompt = await todo.get()
            messages = [{"role": "user", "content": prompt}]
            answer = await client.chat.completions.create(model="gpt-5.5", messages=messages)
            results[index] = answer.choices[0].message.content
            todo.task_done()

    workers = [asyncio.create_task(work()) for _ in range(limit)]
    await todo.join()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return results
