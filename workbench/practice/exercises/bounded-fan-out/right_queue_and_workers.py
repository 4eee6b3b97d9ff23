import asyncio


async def fan_out(client, prompts, limit):
    results = [None] * len(prompts)
    todo = asyncio.Queue()
    for item in enumerate(prompts):
        todo.put_nowait(item)

    async def work():
        while not todo.empty():
            index, prompt = todo.get_nowait()
            try:
                messages = [{"role": "user", "content": prompt}]
                answer = await client.chat.completions.create(model="gpt-5.5", messages=messages)
                results[index] = answer.choices[0].message.content
            except Exception as error:
                results[index] = error

    workers = [asyncio.create_task(work()) for _ in range(min(limit, len(prompts)))]
    if workers:
        await asyncio.wait(workers)
    return results
