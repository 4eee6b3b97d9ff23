import asyncio


async def fan_out(client, prompts, limit):
    places = asyncio.Semaphore(limit)

    async def ask(prompt):
        async with places:
            try:
                answer = await client.chat.completions.create(
                    model="gpt-5.5", messages=[{"role": "user", "content": prompt}]
                )
                return answer.choices[0].message.content
            except Exception as error:
                return error

    return [await done for done in asyncio.as_completed(map(ask, prompts))]
