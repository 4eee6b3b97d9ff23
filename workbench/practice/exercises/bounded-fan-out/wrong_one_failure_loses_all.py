import asyncio


async def fan_out(client, prompts, limit):
    places = asyncio.Semaphore(limit)

    async def ask(prompt):
        async with places:
            answer = await client.chat.completions.create(
                model="gpt-5.5", messages=[{"role": "user", "content": prompt}]
            )
            return answer.choices[0].message.content

    return await asyncio.gather(*map(ask, prompts))
